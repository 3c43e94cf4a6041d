/** @module What go-sev-guest's `check` tool takes as `-config`: a policy in protocol buffers' text format (google/go-sev-guest, proto/check.proto). */
import { bytesToHex } from '../hex.ts';

/**
 * Returns the configuration, to be kept as a file whose name ends in `.textproto`: the report must have this digest, and a guest policy
 * that allows no more than `guestPolicy`.
 */
export function goSevGuestPolicy(digest: Uint8Array, guestPolicy: bigint): string {
  const bytes = bytesToHex(digest).replaceAll(/../g, '\\x$&');
  return `policy {\n  policy: 0x${guestPolicy.toString(16)}\n  measurement: "${bytes}"\n}\n`;
}
