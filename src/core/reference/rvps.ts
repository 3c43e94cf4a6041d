/** @module What Trustee's Reference Value Provider Service is given: a message with provenance (confidential-containers/trustee, rvps/README.md). */
import { bytesToBase64 } from '../base64.ts';
import type { Hashes } from '../hash.ts';
import { bytesToHex } from '../hex.ts';
import { encodeUtf8 } from '../utf8.ts';
import { corimForTrustee } from './corim.ts';

/** Name by which Trustee's default policy asks for the digests (attestation-service/src/ear_token/ear_default_policy_cpu.rego). */
export const RVPS_REFERENCE_VALUE = 'snp_launch_measurement';

/** Returns the message, JSON, that `rvps-tool register` takes: the digests by the name that the default policy asks for. */
export function rvpsMessage(digests: readonly Uint8Array[]): string {
  return message('sample', encodeUtf8(JSON.stringify({ [RVPS_REFERENCE_VALUE]: digests.map(bytesToHex) })));
}

/** What is expected of a TDX quote and its event log, 48 bytes each, by the names of the default policy; RTMR0 it does not ask for. */
export interface TdxReference {
  readonly mr_td: Uint8Array;
  readonly rtmr_1?: Uint8Array | undefined;
  readonly rtmr_2?: Uint8Array | undefined;
  /** Digest of the kernel's event (EV_EFI_BOOT_SERVICES_APPLICATION). */
  readonly tdvfkernel?: Uint8Array | undefined;
  /** Digest of the event of its load options (EV_EVENT_TAG). */
  readonly tdvfkernelparams?: Uint8Array | undefined;
}

/** Returns that message for a TDX guest. */
export function rvpsTdxMessage({ tdvfkernel, tdvfkernelparams, ...registers }: TdxReference): string {
  // The policy looks for a register in a list, and holds the digest of an event against one text.
  const payload = {
    ...mapGiven(registers, (value) => [bytesToHex(value)]),
    ...mapGiven({ tdvfkernel, tdvfkernelparams }, bytesToHex),
  };
  return message('sample', encodeUtf8(JSON.stringify(payload)));
}

function mapGiven<T>(
  values: Readonly<Record<string, Uint8Array | undefined>>,
  print: (value: Uint8Array) => T,
): Readonly<Record<string, T>> {
  const given = Object.entries(values).filter((entry): entry is [string, Uint8Array] => entry[1] !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, print(value)]));
}

/** Returns the message with the digests in a CoRIM, all under one name. Throws `usage` without digests. */
export function rvpsCorimMessage(digests: readonly Uint8Array[], hashes: Hashes): string {
  return message('corim', corimForTrustee(digests, hashes));
}

/** `version` is that of the message (rvps/src/lib.rs). */
function message(type: 'sample' | 'corim', provenance: Uint8Array): string {
  return `${JSON.stringify({ version: '0.1.0', type, payload: bytesToBase64(provenance) }, null, 2)}\n`;
}
