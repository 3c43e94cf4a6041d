/** @module `bootseal measure snp --reference`: the digests as a verifier's reference values; and where these go, those of TDX too. */
import { type Command, Option } from 'commander';
import { snpPolicyRisks } from '../core/attestation/snp-policy.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import { CORIM_MEASUREMENT, CORIM_REFERENCE_VALUE, corimOf } from '../core/reference/corim.ts';
import { goSevGuestPolicy } from '../core/reference/go-sev-guest.ts';
import { RVPS_REFERENCE_VALUE, rvpsCorimMessage, rvpsMessage } from '../core/reference/rvps.ts';
import { writeNewFile } from '../host/new-file.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { type Io, remark, resolvePath } from './io.ts';
import type { MeasureOptions } from './measure-options.ts';
import { checkOutputs } from './outputs.ts';
import { type AllowDebug, allowedSnpPolicy } from './snp-policy-option.ts';

const FORMS = ['rvps', 'rvps-corim', 'corim', 'go-sev-guest'] as const;

/** What commander makes of the options of {@link addPlaceOptions}. */
export interface PlaceOptions {
  readonly reference?: string;
  readonly out?: string;
  readonly force?: boolean;
}

/** What commander makes of the options of {@link addReferenceOptions}. */
export interface ReferenceOptions extends AllowDebug, PlaceOptions {
  readonly reference?: (typeof FORMS)[number];
  readonly guestPolicy?: string;
}

/** Adds the options to `command`. */
export function addReferenceOptions(command: Command): Command {
  command
    .addOption(
      new Option(
        '--reference <form>',
        "reference values instead of digests: Trustee's message, that with a CoRIM, a CoRIM, or a policy of go-sev-guest's check",
      )
        .choices(FORMS)
        .conflicts(['plan', 'json', 'format']),
    )
    .option(
      '--guest-policy <policy>',
      'with --reference go-sev-guest: the most that the guest policy may allow (default: smt)',
    )
    .option('--insecure-allow-debug', 'with --guest-policy: one under which the host reads and changes the guest');
  return addPlaceOptions(command);
}

/** Adds the options that say where reference values go. */
export function addPlaceOptions(command: Command): Command {
  return command
    .option('--out <file>', 'with --reference: write to this new file')
    .option('--force', 'with --out: replace the file');
}

/** Throws `usage` for options that go with `--reference` only, or with a form of it. */
export function checkReferenceOptions(options: ReferenceOptions): void {
  checkPlaceOptions(options);
  const { reference, guestPolicy, insecureAllowDebug } = options;
  if (reference !== 'go-sev-guest' && (guestPolicy !== undefined || insecureAllowDebug !== undefined)) {
    const option = guestPolicy === undefined ? '--insecure-allow-debug' : '--guest-policy';
    throw new BootsealError('usage', `${option} goes with --reference go-sev-guest`, {
      hint: 'leave it out: the other forms have no place for it',
    });
  }
}

/** Throws `usage` for options that go with `--reference` only. */
export function checkPlaceOptions({ reference, out, force }: PlaceOptions): void {
  if (reference !== undefined || (out === undefined && force === undefined)) return;
  throw new BootsealError('usage', '--out and --force go with --reference', {
    hint: 'say which form with --reference, or send the output to a file',
  });
}

/** Throws `usage` when the file that is written is one of those that are measured. */
export async function checkReferenceFile(io: Io, options: ReferenceOptions & MeasureOptions): Promise<void> {
  const { firmware, kernel, initrd, cmdlineFile, svsm, varsFile } = options;
  await checkPlace(io, options, [firmware, kernel, initrd, cmdlineFile, svsm, varsFile]);
}

/** Throws `usage` when the file that is written is one of those that are `read`. */
export async function checkPlace(io: Io, { out }: PlaceOptions, read: readonly (string | undefined)[]): Promise<void> {
  if (out !== '-') await checkOutputs(io, [out], read);
}

/** Writes the digests in the form that is asked for. */
export async function writeReference(
  io: Io,
  form: (typeof FORMS)[number],
  results: readonly { readonly digest: Uint8Array }[],
  options: ReferenceOptions,
): Promise<void> {
  const digests = different(results.map(({ digest }) => digest));
  await writePlaced(io, documentOf(io, form, digests, options), options);
}

/** Writes reference values where they are to go. Throws `io`. */
export async function writePlaced(
  io: Io,
  document: string | Uint8Array,
  { out = '-', force }: PlaceOptions,
): Promise<void> {
  if (out === '-') io.stdout.write(document);
  else await writeNewFile(resolvePath(io, out), document, 0o644, force === true);
}

function documentOf(
  io: Io,
  form: (typeof FORMS)[number],
  digests: readonly Uint8Array[],
  options: ReferenceOptions,
): string | Uint8Array {
  if (form === 'go-sev-guest') return policyOf(io, digests, options);
  const { place, make } = MULTIPLE[form];
  remark(io, 'note', `${digests.length} ${digests.length === 1 ? 'digest' : 'digests'}, ${place}`);
  return make(digests);
}

/** The forms for any number of digests, and where a verifier finds them. */
const MULTIPLE: Readonly<
  Record<
    Exclude<(typeof FORMS)[number], 'go-sev-guest'>,
    { readonly place: string; make(digests: readonly Uint8Array[]): string | Uint8Array }
  >
> = {
  rvps: { place: `in a policy of Trustee as ${RVPS_REFERENCE_VALUE}`, make: rvpsMessage },
  'rvps-corim': {
    place: `in a policy of Trustee as ${CORIM_REFERENCE_VALUE}`,
    make: (digests) => rvpsCorimMessage(digests, nodeHashes),
  },
  corim: {
    place: `each a reference state of ${CORIM_MEASUREMENT}`,
    make: (digests) => corimOf(digests, nodeHashes),
  },
};

function policyOf(io: Io, digests: readonly Uint8Array[], options: ReferenceOptions): string {
  const [digest, ...others] = digests;
  if (digest === undefined || others.length > 0) {
    throw new BootsealError('usage', `a policy of go-sev-guest holds one digest, and these are ${digests.length}`, {
      hint: 'give one number of vCPUs and one CPU model, and make a policy for each',
    });
  }
  const policy = allowedSnpPolicy(options.guestPolicy ?? 'smt', options);
  for (const risk of snpPolicyRisks(policy)) remark(io, 'warning', risk);
  return goSevGuestPolicy(digest, policy);
}

/** Each digest once, in the order in which they came. */
function different(digests: readonly Uint8Array[]): readonly Uint8Array[] {
  return [...new Map(digests.map((digest) => [bytesToHex(digest), digest])).values()];
}
