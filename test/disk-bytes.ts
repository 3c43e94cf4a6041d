/** @module Planned disks as bytes in memory. */
import type { DiskExtent } from '../src/core/disk/shape.ts';

/** Returns the image of these extents, files filled with the first letter of their names, and data with `D`. */
export function imageOf(size: number, extents: readonly DiskExtent[]): Uint8Array {
  const image = new Uint8Array(size);
  for (const extent of extents) {
    if (extent.file === 'header' || extent.kind === 'integrity') continue;
    if (extent.kind === 'bytes') image.set(extent.bytes, extent.at);
    else {
      const letter = extent.kind === 'file' ? extent.source : 'D';
      image.fill(letter.charCodeAt(0), extent.at, extent.at + extent.size);
    }
  }
  return image;
}
