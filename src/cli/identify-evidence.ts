/** @module What a platform said, given to `identify`: a digest, a launch measurement, or an attestation report, in any encoding. */
import { findSnpReport, type Report } from '../core/attestation/snp-report.ts';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import type { Wanted } from '../core/identify/wanted.ts';
import type { ApiVersion } from '../core/measurement/api-version.ts';
import { parseLaunchMeasurement } from '../core/measurement/launch-measurement.ts';
import type { Platform } from '../core/measurement/measure.ts';
import { parsePolicy } from '../core/session/policy.ts';
import { type ApiOptions, apiFromOptions } from './api-options.ts';
import { hexOrBase64 } from './hex-or-base64.ts';
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
  const bytes = decoded(text) ?? (await fromFile(io, text));
  if (options.tik !== undefined) return launchMeasurement(io, bytes, options.tik, options);
  if (options.policy !== undefined || apiFromOptions(options) !== undefined) {
    throw new BootsealError('usage', '--policy, --api-major, --api-minor and --build-id go with --tik', {
      hint: 'give --tik too, or leave them out: a digest needs none of them',
    });
  }
  const platforms = PLATFORMS_BY_LENGTH.get(bytes.length);
  if (platforms !== undefined) {
    return { what: 'digest', platforms, report: undefined, wanted: { kind: 'digest', digest: bytes }, wipe() {} };
  }
  const report = findSnpReport(bytes);
  if (report === undefined) throw noEvidence(bytes.length);
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
  const { policy, api } = signedWith(options);
  const tik = await readTik(io, tikFile);
  return {
    what: 'launch measurement',
    platforms: ['sev', 'sev-es'],
    report: undefined,
    wanted: { kind: 'measurement', tik, measure, nonce, policy, api },
    wipe: () => wipe(tik),
  };
}

function signedWith(options: MeasurementOptions): { readonly policy: number; readonly api: ApiVersion } {
  const api = apiFromOptions(options);
  if (options.policy === undefined || api === undefined) {
    throw new BootsealError('usage', '--tik needs --policy, --api-major, --api-minor and --build-id', {
      hint: 'query-sev and virsh domlaunchsecinfo print them; the platform signs them with the digest',
    });
  }
  return { policy: parsePolicy(options.policy), api };
}

async function fromFile(io: Io, name: string): Promise<Uint8Array> {
  const content = await readInput(io, name, LIMIT);
  const text = Buffer.from(content).toString('latin1');
  return /^[\t\r\n -~]+$/.test(text) ? (decoded(text) ?? content) : content;
}

/** Returns the bytes of hexadecimal or base64 text that has the length of something that is looked for. */
function decoded(text: string): Uint8Array | undefined {
  const isEvidence = (bytes: Uint8Array) => PLATFORMS_BY_LENGTH.has(bytes.length) || findSnpReport(bytes) !== undefined;
  return hexOrBase64(text.replace(/[ \t\r\n]/g, ''), isEvidence);
}

function noEvidence(length: number): BootsealError {
  return new BootsealError('format', `${length} bytes are neither a digest, a launch measurement nor a report`, {
    hint: 'a digest has 32 bytes (SEV, SEV-ES) or 48 (SNP), a launch measurement 48 (with --tik), an SNP report 1184',
  });
}
