/**
 * @module Finds a row of bytes in others (R. N. Horspool, "Practical fast searching in strings", 1980): most bytes are never
 * looked at, and bytes made to be slow cost no more than about one look each.
 */

/** Returns a function that says whether `needle` (1 to 255 bytes, seldom repeating one) lies anywhere in some bytes. */
export function finder(needle: Uint8Array): (bytes: Uint8Array) => boolean {
  const end = needle.length - 1;
  // By the byte under the needle's end: how far the needle can move without passing a place where it lies.
  const moves = new Uint8Array(256).fill(needle.length);
  for (let i = 0; i < end; i++) moves[needle[i] ?? 0] = end - i;
  const last = needle[end];
  return (bytes) => {
    for (let at = end; at < bytes.length; at += moves[bytes[at] ?? 0] ?? 1) {
      if (bytes[at] === last && liesAt(bytes, at - end, needle)) return true;
    }
    return false;
  };
}

function liesAt(bytes: Uint8Array, at: number, needle: Uint8Array): boolean {
  for (let i = 0; i < needle.length; i++) if (bytes[at + i] !== needle[i]) return false;
  return true;
}
