/** @module A firmware given on the command line: the image itself, or a descriptor of it. */
import { isDescriptor, parseDescriptor } from '../core/firmware/descriptor.ts';
import { MAX_FIRMWARE_BYTES, parseFirmware } from '../core/firmware/firmware.ts';
import { bytesToHex } from '../core/hex.ts';
import type { MeasuredFirmware } from '../core/measurement/measure.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import type { HashedFile } from './booted-files.ts';
import { type Io, readInput, remark } from './io.ts';

/**
 * Reads and parses the firmware in `file`. The hash is that of the file; what a descriptor says of its image stands apart, as a
 * claim. Throws `io`, or `format` for broken tables.
 */
export async function readFirmware(io: Io, file: string): Promise<MeasuredFirmware & { readonly hashed: HashedFile }> {
  const bytes = await readInput(io, file, MAX_FIRMWARE_BYTES);
  const hashed = {
    // Only when it is asked for: most outputs do not name it, and it takes a quarter of the time that the measurement takes.
    get sha256() {
      return bytesToHex(nodeHashes.sha256(bytes));
    },
    bytes: bytes.length,
  };
  if (!isDescriptor(bytes)) return { image: bytes, firmware: parseFirmware(bytes), hashed };
  const { firmware, snpDigest, sha256 } = parseDescriptor(new TextDecoder().decode(bytes));
  remark(io, 'note', 'the firmware is a descriptor: the digest is as good as whoever wrote that file');
  const claims = { sha256: sha256 ?? null, bytes: firmware.size };
  return { firmware, snpDigest, hashed: { ...hashed, claims } };
}
