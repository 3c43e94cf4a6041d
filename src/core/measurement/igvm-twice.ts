/** @module Pages that an IGVM file adds to a guest twice, which platforms refuse. */
import type { Loading } from './igvm-loaders.ts';

const PAGE = 4096n;
const LARGE_PAGE = 2n ** 21n;

/** Returns the address of the first page that is added a second time; undefined where there is none. */
export function pageAddedTwice({
  file,
  mask,
  platform,
}: Pick<Loading, 'file' | 'mask' | 'platform'>): bigint | undefined {
  const spans = file.directives.flatMap((one) => {
    if ((one.mask & mask) === 0) return [];
    if (one.kind === 'insert') return [{ start: one.gpa, end: one.gpa + BigInt(one.size) }];
    // What is shared with the host microsoft/igvm does not add to a TD, of large pages the first 4 KiB.
    if (one.kind !== 'page' || (platform === 'tdx' && one.shared)) return [];
    return [{ start: one.gpa, end: one.gpa + (one.large && platform !== 'tdx' ? LARGE_PAGE : PAGE) }];
  });
  let end = 0n;
  for (const span of spans.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))) {
    if (span.start < end) return span.start;
    end = span.end;
  }
  return undefined;
}
