/** @module What a platform said, given to `identify`: a digest, a launch measurement, or an attestation report, in any encoding. */
import { findSnpReport, type Report } from '../core/attestation/snp-report.ts';
import { isTdxQuote } from '../core/attestation/tdx-quote.ts';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { policiesOf, type SignedScope, type Wanted } from '../core/identify/wanted.ts';
import { COMMON_MINORS } from '../core/measurement/api-search.ts';
import { parseLaunchMeasurement } from '../core/measurement/launch-measurement.ts';
import type { Platform } from '../core/measurement/measure.ts';
import { POLICY_FLAGS, parsePolicy } from '../core/session/policy.ts';
import type { ApiOptions } from './api-options.ts';
import { hexOrBase64, manyHexDigits } from './hex-or-base64.ts';
import { type Io, readInput } from './io.ts';
import { readTik } from './transport-keys.ts';

/** What is searched for. */
export interface Evidence {
  readonly what: 'digest' | 'launch measurement' | 'attestation report';
  readonly platforms: readonly Platform[];
  readonly report: Report | undefined;
  readonly wanted: Wanted;
  /** Ends its use: the key, if it needed one, is gone. */
  wipe(): void;
}

/** Options that a launch measurement needs, and nothing else. */
export interface MeasurementOptions extends ApiOptions {
  readonly tik?: string;
  readonly policy?: string;
}

/** Azure's container is the largest of what is expected; bytes. */
const LIMIT = 1 << 16;

/** Reads the evidence in `text`: itself, a file, or `-`. Throws `usage`, `format` when it is none, `io`. */
export async function readEvidence(io: Io, text: string, options: MeasurementOptions): Promise<Evidence> {
  const bytes = typed(text) ?? (await fromFile(io, text));
  if (options.tik !== undefined) return launchMeasurement(io, bytes, options.tik, options);
  if ([options.policy, options.apiMajor, options.apiMinor, options.buildId].some((given) => given !== undefined)) {
    throw new BootsealError('usage', '--policy, --api-major, --api-minor and --build-id go with --tik', {
      hint: 'give --tik too, or leave them out: a digest needs none of them',
    });
  }
  const platforms = PLATFORMS_BY_LENGTH.get(bytes.length);
  if (platforms !== undefined) {
    return { what: 'digest', platforms, report: undefined, wanted: { kind: 'digest', digest: bytes }, wipe() {} };
  }
  const report = findSnpReport(bytes);
  if (report === undefined) throw isTdxQuote(bytes) ? ofTdx() : noEvidence(`${bytes.length} bytes`);
  const { measurement } = report;
  return {
    what: 'attestation report',
    platforms: ['snp'],
    report,
    wanted: { kind: 'digest', digest: measurement },
    wipe() {},
  };
}

const PLATFORMS_BY_LENGTH: ReadonlyMap<number, readonly Platform[]> = new Map([
  [32, ['sev', 'sev-es']],
  [48, ['snp']],
]);

async function launchMeasurement(
  io: Io,
  bytes: Uint8Array,
  tikFile: string,
  options: MeasurementOptions,
): Promise<Evidence> {
  const { measure, nonce } = parseLaunchMeasurement(bytes);
  const signed = signedScope(options);
  const platforms = (['sev', 'sev-es'] as const).filter((one) => policiesOf(signed.policies, one).length > 0);
  const tik = await readTik(io, tikFile);
  return {
    what: 'launch measurement',
    platforms,
    report: undefined,
    wanted: { kind: 'measurement', tik, measure, nonce, signed },
    wipe: () => wipe(tik),
  };
}

/** What is not given is looked for, but not all of it at once. */
function signedScope({ policy, apiMajor, apiMinor, buildId }: MeasurementOptions): SignedScope {
  const one = (value: number | undefined, others: readonly number[]) => (value === undefined ? others : [value]);
  const majors = one(apiMajor, [1]);
  const minors = one(apiMinor, range(COMMON_MINORS.from, COMMON_MINORS.to));
  const builds = one(buildId, range(0, 255));
  if (policy !== undefined) return { policies: [parsePolicy(policy)], majors, minors, builds };
  if (majors.length * minors.length * builds.length > 1 || apiMajor === undefined) {
    throw new BootsealError('usage', '--tik needs --policy, or --api-major, --api-minor and --build-id', {
      hint: 'query-sev and virsh domlaunchsecinfo print all of them; the platform signs them with the digest',
    });
  }
  return { policies: USUAL_POLICIES, majors, minors, builds };
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** All flags on and off, without a minimum API version. */
const USUAL_POLICIES = range(
  0,
  Object.values(POLICY_FLAGS).reduce((all, bit) => all | bit, 0),
);

async function fromFile(io: Io, name: string): Promise<Uint8Array> {
  refuseDigits(name);
  const content = await readInput(io, name, LIMIT);
  const text = Buffer.from(content).toString('latin1');
  if (!/^[\t\r\n -~]+$/.test(text)) return content;
  const bytes = decoded(text, isKnown);
  if (bytes === undefined) refuseDigits(withoutBlanks(text));
  return bytes ?? content;
}

/** Digits that are known as nothing are no name of a file, and say nothing else. */
function refuseDigits(text: string): void {
  const digits = manyHexDigits(text);
  if (digits !== undefined) throw noEvidence(`${digits} hexadecimal digits`);
}

/** Bytes that a name of a file has at most. */
const LONGEST_NAME = 255;

/** Returns the bytes that were typed in place of a file's name; what is short and of no use may well be a name. */
function typed(text: string): Uint8Array | undefined {
  const isNoName = text.length > LONGEST_NAME || manyHexDigits(text) !== undefined;
  return decoded(text, isNoName ? isKnown : isEvidence);
}

const withoutBlanks = (text: string) => text.replace(/[ \t\r\n]/g, '');

/** Returns the bytes of hexadecimal or base64 text, where they are what is wanted. */
function decoded(text: string, isWanted: (bytes: Uint8Array) => boolean): Uint8Array | undefined {
  return hexOrBase64(withoutBlanks(text), isWanted);
}

/** Whether the bytes are something that is looked for. */
const isEvidence = (bytes: Uint8Array) => isDigest(bytes) || reportIn(bytes) === 'good';

/** Whether it is known what the bytes are, be it that they are refused. */
const isKnown = (bytes: Uint8Array) => isDigest(bytes) || reportIn(bytes) !== 'none' || isTdxQuote(bytes);

const isDigest = ({ length }: Uint8Array) => PLATFORMS_BY_LENGTH.has(length);

function reportIn(bytes: Uint8Array): 'none' | 'good' | 'refused' {
  try {
    return findSnpReport(bytes) === undefined ? 'none' : 'good';
  } catch (error) {
    if (error instanceof BootsealError) return 'refused';
    throw error;
  }
}

function ofTdx(): BootsealError {
  return new BootsealError(
    'format',
    'this is a quote of a TDX guest: identify searches launches of SEV, SEV-ES and SNP',
    {
      hint: 'verify ccel holds a quote and its event log against the boot that you predict, measure tdx says the MRTD',
    },
  );
}

function noEvidence(what: string): BootsealError {
  return new BootsealError('format', `${what} are neither a digest, a launch measurement nor a report`, {
    hint: 'a digest has 32 bytes (SEV, SEV-ES) or 48 (SNP), a launch measurement 48 (with --tik), an SNP report 1184',
  });
}
