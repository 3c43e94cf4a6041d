/** @module A firmware given on the command line: the image itself, or a descriptor of it. */
import { type Firmware, parseFirmware } from '../core/firmware/firmware.ts';
import { bytesToHex } from '../core/hex.ts';
import type { MeasuredFirmware } from '../core/measurement/measure.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import type { HashedFile } from './booted-files.ts';
import { type Io, readInput } from './io.ts';

/** The largest image that is read: OVMF builds have 2 to 16 MiB. */
export const FIRMWARE_LIMIT = 64 << 20;

/** Reads and parses the firmware in `file`. Throws `io`, or `format` for broken tables. */
export async function readFirmware(io: Io, file: string): Promise<MeasuredFirmware & { readonly hashed: HashedFile }> {
  const image = await readInput(io, file, FIRMWARE_LIMIT);
  const firmware: Firmware = parseFirmware(image);
  const hashed = { sha256: bytesToHex(nodeHashes.sha256(image)), bytes: image.length };
  return { image, firmware, snpDigest: undefined, hashed };
}
