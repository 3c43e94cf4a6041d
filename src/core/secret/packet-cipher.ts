/**
 * @module The cryptography of a secret packet (LAUNCH_SECRET, SEV API 55766, 6.6), for whoever has the keys. Owners seal with
 * packet.ts, which asks for a verified launch.
 */
import { ctr } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytes, concat, equalInConstantTime, layout, magic, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { checkTransportKey } from '../measurement/launch-measurement.ts';
import type { TransportKeys } from '../session/transport-keys.ts';
import { checkPayloadSize } from './limits.ts';

/** The 52 bytes in front of the payload. */
export const PacketHeader = layout('packet header', {
  /** Bit 0: compressed. */
  flags: u32le,
  /** First counter block of AES-128-CTR. */
  iv: bytes(16),
  mac: bytes(32),
});

/** What is authenticated in front of the payload; the measure comes behind it. */
const MacPrefix = layout('LAUNCH_SECRET', {
  command: magic(Uint8Array.of(0x01)),
  flags: u32le,
  iv: bytes(16),
  guestLength: u32le,
  transportLength: u32le,
});

/** What the platform takes: 52 bytes, and a multiple of 16. */
export interface Packet {
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
}

/** Encrypts `table` and binds it to `measure`, or to none below API 0.17. Throws `format` for wrong lengths. */
export function encryptPacket(
  table: Uint8Array,
  { tek, tik }: TransportKeys,
  iv: Uint8Array,
  measure: Uint8Array | undefined,
): Packet {
  checkPayloadSize(table.length);
  if (iv.length !== 16)
    throw new BootsealError('format', `packet: the IV needs 16 bytes, got ${iv.length}`, {
      hint: 'make a random IV of 16 bytes for every packet',
    });
  const payload = ctr(checkTransportKey('TEK', tek), iv).encrypt(table);
  return { header: PacketHeader.pack({ flags: 0, iv, mac: macOf(tik, 0, iv, payload, measure) }), payload };
}

/**
 * Returns the table in `packet`; looks at nothing in it before its MAC is found right.
 *
 * @throws `mismatch` when the MAC is not that of these keys and this measure, `format` for wrong lengths and compressed packets
 */
export function openPacket(
  { header, payload }: Packet,
  { tek, tik }: TransportKeys,
  measure: Uint8Array | undefined,
): Uint8Array {
  if (header.length !== PacketHeader.size) {
    throw new BootsealError('format', `packet header: needs ${PacketHeader.size} bytes, got ${header.length}`, {
      hint: 'give the packet header whole, as secret build wrote it',
    });
  }
  checkPayloadSize(payload.length);
  const { flags, iv, mac } = PacketHeader.unpack(header);
  if (!equalInConstantTime(macOf(tik, flags, iv, payload, measure), mac)) {
    throw new BootsealError('mismatch', 'the packet does not authenticate', {
      hint: 'it was made with other transport keys or for another measurement, or was changed',
    });
  }
  if (flags !== 0)
    throw new BootsealError('format', `packet header: flags 0x${flags.toString(16)} are not supported`, {
      hint: 'only packets without compression are known: build it with secret build',
    });
  return ctr(checkTransportKey('TEK', tek), iv).decrypt(payload);
}

function macOf(
  tik: Uint8Array,
  flags: number,
  iv: Uint8Array,
  payload: Uint8Array,
  measure: Uint8Array | undefined,
): Uint8Array {
  if (measure !== undefined && measure.length !== 32) {
    throw new BootsealError('format', `packet: the measure needs 32 bytes, got ${measure.length}`, {
      hint: 'the measure is the first 32 bytes of the launch measurement',
    });
  }
  const length = payload.length;
  const prefix = MacPrefix.pack({ flags, iv, guestLength: length, transportLength: length });
  return hmac(sha256, checkTransportKey('TIK', tik), concat(prefix, payload, measure ?? new Uint8Array(0)));
}
