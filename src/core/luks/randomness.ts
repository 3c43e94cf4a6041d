/** @module Whether bytes may come from a random generator, or somebody made them up: text in whatever encoding, repetitions, counting. */
import { decodeUtf8 } from '../utf8.ts';

/**
 * Says whether `bytes` (24 at least) look random. Of random keys of 32 bytes it takes less than one in 50,000 for made up, and nothing
 * can tell what looks random and is not.
 */
export function looksRandom(bytes: Uint8Array): boolean {
  const steps = bytes.slice(1).map((byte, i) => byte - (bytes[i] ?? 0));
  const isVaried = variety(bytes) >= 1 / 2 && variety(steps) >= 1 / 2;
  return isVaried && !isUtf8(bytes) && !isTextOfTwoBytes(bytes) && !isTextOfOneByte(bytes);
}

/** Different values, as a part of how many there are among so many random bytes. */
function variety(bytes: Uint8Array): number {
  return new Set(bytes).size / (256 * (1 - (255 / 256) ** bytes.length));
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    decodeUtf8(bytes, 'key');
    return true;
  } catch {
    return false;
  }
}

/** UTF-16: most of one half of the bytes are the same, that of the alphabet. */
function isTextOfTwoBytes(bytes: Uint8Array): boolean {
  return [0, 1].some((parity) => {
    const half = bytes.filter((_, i) => i % 2 === parity);
    const counts = new Map<number, number>();
    for (const byte of half) counts.set(byte, (counts.get(byte) ?? 0) + 1);
    return Math.max(...counts.values()) > half.length / 2;
  });
}

/** ISO 8859 and its like: no control characters but those of lines, and fewer letters than random bytes would have. */
function isTextOfOneByte(bytes: Uint8Array): boolean {
  const hasControls = bytes.some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d);
  return !hasControls && variety(bytes) < 4 / 5;
}
