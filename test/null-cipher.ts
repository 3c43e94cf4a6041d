/** @module What a host would make of a header. */
import { createHash } from 'node:crypto';

/** Returns a header that says the data are not encrypted, right in all else: what a host would write. */
export function withoutCipher(header: Buffer): Buffer {
  const changed = Buffer.from(header);
  for (const at of [0, 16384]) {
    const copy = changed.subarray(at, at + 16384);
    const json = copy.toString('latin1', 4096, copy.indexOf(0, 4096));
    const segments = /"segments":\{.*?"encryption":"aes-xts-plain64"/.exec(json)?.[0] ?? '';
    const nothing = json.replace(segments, segments.replace('aes-xts-plain64', 'cipher_null-ecb'));
    copy.fill(0, 4096).write(nothing, 4096, 'latin1');
    copy.fill(0, 448, 512);
    createHash('sha256').update(copy).digest().copy(copy, 448);
  }
  return changed;
}
