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

/** Fewer bytes are no guest's memory, and as many MiB (64T) are no machine's. */
const LEAST_MEMORY = 2 ** 26;

/** Reads the size of a guest's memory; throws `usage` for what is not that of one, such as MiB without a unit, which QEMU's -m takes. */
export function parseMemory(text: string): number {
  const size = parseSize(text, '--memory');
  if (size >= LEAST_MEMORY || !/^[0-9]+$/.test(text)) return size;
  throw new BootsealError('usage', `--memory ${size} are bytes, too few for a guest`, {
    hint: `name the unit: what QEMU gets as -m ${size} is --memory ${size}M`,
  });
}
