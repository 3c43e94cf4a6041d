/** @module Sizes on the command line: bytes, or a number with K, M, G or T. */
import { BootsealError } from '../core/errors.ts';

const UNITS = ['', 'K', 'M', 'G', 'T'];

/** Reads a size such as 1073741824 or 1G (binary); throws `usage` naming the option. */
export function parseSize(text: string, option: string): number {
  const found = /^([0-9]{1,16})([KMGT]?)$/i.exec(text);
  const size = Number(found?.[1]) * 1024 ** UNITS.indexOf((found?.[2] ?? '').toUpperCase());
  if (found !== null && Number.isSafeInteger(size) && size > 0) return size;
  throw new BootsealError(
    'usage',
    `${option} takes bytes or a number with K, M, G or T, not ${JSON.stringify(text.slice(0, 64))}`,
    { hint: 'for instance 512M or 2G' },
  );
}
