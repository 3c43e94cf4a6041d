/** @module `bootseal measure snp --reference`: the digests as a verifier's reference values. */
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

/** What commander makes of the options of {@link addReferenceOptions}. */
export interface ReferenceOptions extends AllowDebug {
  readonly reference?: (typeof FORMS)[number];
  readonly guestPolicy?: string;
  readonly out?: string;
  readonly force?: boolean;
}

/** Adds the options to `command`. */
export function addReferenceOptions(command: Command): Command {
  return command
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
    .option('--insecure-allow-debug', 'with --guest-policy: one under which the host reads and changes the guest')
    .option('--out <file>', 'with --reference: write to this new file')
    .option('--force', 'with --out: replace the file');
}

/** Throws `usage` for options that go with `--reference` only, or with a form of it. */
export function checkReferenceOptions({
  reference,
  guestPolicy,
  insecureAllowDebug,
  out,
  force,
}: ReferenceOptions): void {
  if (reference === undefined && (out !== undefined || force !== undefined)) {
    throw new BootsealError('usage', '--out and --force go with --reference', {
      hint: 'say which form with --reference, or send the output to a file',
    });
  }
  if (reference !== 'go-sev-guest' && (guestPolicy !== undefined || insecureAllowDebug !== undefined)) {
    const option = guestPolicy === undefined ? '--insecure-allow-debug' : '--guest-policy';
    throw new BootsealError('usage', `${option} goes with --reference go-sev-guest`, {
      hint: 'leave it out: the other forms have no place for it',
    });
  }
}

/** Throws `usage` when the file that is written is one of those that are measured. */
export async function checkReferenceFile(io: Io, options: ReferenceOptions & MeasureOptions): Promise<void> {
  const { out, firmware, kernel, initrd, cmdlineFile, svsm, varsFile } = options;
  if (out !== '-') await checkOutputs(io, [out], [firmware, kernel, initrd, cmdlineFile, svsm, varsFile]);
}

/** Writes the digests in the form that is asked for. */
export async function writeReference(
  io: Io,
  form: (typeof FORMS)[number],
  results: readonly { readonly digest: Uint8Array }[],
  options: ReferenceOptions,
): Promise<void> {
  const digests = different(results.map(({ digest }) => digest));
  const document = documentOf(io, form, digests, options);
  const out = options.out ?? '-';
  if (out === '-') io.stdout.write(document);
  else await writeNewFile(resolvePath(io, out), document, 0o644, options.force === true);
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
