/** @module Linux's list of physical memory, /proc/iomem: whether the firmware has set an area aside. */
import type { Area } from '../firmware/firmware.ts';

const LINE = /^( *)([0-9a-f]{8,16})-([0-9a-f]{8,16}) : (.*)$/;

/** What the list says about an area. */
export type Kept =
  /** All of it is reserved, and nothing else is in it. */
  | { readonly kept: true }
  /** It is not, and this is what is there; null where the list does not tell. */
  | { readonly kept: false; readonly found: string | null };

/**
 * Says whether `area` is reserved. Whoever is not root sees a list of zeros, which tells nothing.
 */
export function isKept(iomem: string, { base, size }: Area): Kept {
  const end = base + size - 1;
  let found: string | null = null;
  let isWhole = false;
  for (const line of iomem.split('\n')) {
    const parts = LINE.exec(line);
    if (parts === null) continue;
    const [first, last] = [Number.parseInt(parts[2] ?? '', 16), Number.parseInt(parts[3] ?? '', 16)];
    if (last < base || first > end) continue;
    // A line that is further in says more: the innermost one counts, and the list goes inwards.
    found = parts[4] ?? '';
    isWhole = first <= base && last >= end;
  }
  return isWhole && found?.toLowerCase() === 'reserved' ? { kept: true } : { kept: false, found };
}
