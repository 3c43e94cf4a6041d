/** @module What Trustee's Reference Value Provider Service is given: a message with provenance (confidential-containers/trustee, rvps/README.md). */
import { bytesToBase64 } from '../base64.ts';
import { bytesToHex } from '../hex.ts';
import { encodeUtf8 } from '../utf8.ts';

/** Name by which Trustee's default policy asks for the digests (attestation-service/src/ear_token/ear_default_policy_cpu.rego). */
export const RVPS_REFERENCE_VALUE = 'snp_launch_measurement';

/** Returns the message, JSON, that `rvps-tool register` takes: the digests by the name that the default policy asks for. */
export function rvpsMessage(digests: readonly Uint8Array[]): string {
  return message('sample', encodeUtf8(JSON.stringify({ [RVPS_REFERENCE_VALUE]: digests.map(bytesToHex) })));
}

/** Returns the message for a CoRIM. */
export function rvpsCorimMessage(corim: Uint8Array): string {
  return message('corim', corim);
}

/** `version` is that of the message (rvps/src/lib.rs). */
function message(type: 'sample' | 'corim', provenance: Uint8Array): string {
  return `${JSON.stringify({ version: '0.1.0', type, payload: bytesToBase64(provenance) }, null, 2)}\n`;
}
