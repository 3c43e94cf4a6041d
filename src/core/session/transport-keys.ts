/** @module The transport keys of one launch: TEK encrypts secrets, TIK authenticates measurement and secrets. */
import { concat } from '../bytes.ts';
import { BootsealError } from '../errors.ts';

/** Bytes of each key. */
export const TRANSPORT_KEY_SIZE = 16;

/** Whoever holds them can read the secrets of the launch and forge its measurement: wipe both after use. */
export interface TransportKeys {
  /** Transport encryption key, 16 bytes. */
  readonly tek: Uint8Array;
  /** Transport integrity key, 16 bytes. */
  readonly tik: Uint8Array;
}

/** Returns the 32 bytes of a `tk` file, TEK then TIK, as libvirt and sev-tool read it. */
export function encodeTk(keys: TransportKeys): Uint8Array {
  return concat(keys.tek, keys.tik);
}

/** Reads a `tk` file, copying the keys; throws `format` when it has not 32 bytes. */
export function parseTk(bytes: Uint8Array): TransportKeys {
  if (bytes.length !== 2 * TRANSPORT_KEY_SIZE) {
    throw new BootsealError('format', `tk: the transport keys have 32 bytes, this has ${bytes.length}`, {
      hint: 'give the tk file that session create wrote: TEK and TIK, 16 bytes each',
    });
  }
  // Not slice(): that of node's Buffer would alias what the caller wipes.
  const [tek, tik] = [bytes.subarray(0, TRANSPORT_KEY_SIZE), bytes.subarray(TRANSPORT_KEY_SIZE)];
  return { tek: new Uint8Array(tek), tik: new Uint8Array(tik) };
}
