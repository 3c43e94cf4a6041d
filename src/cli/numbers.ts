/** @module Numbers on the command line: decimal or 0x…, and lists of them. */
import { BootsealError } from '../core/errors.ts';

/** Reads an unsigned number of any size; throws `usage` naming the option. */
export function parseBigUnsigned(text: string, option: string): bigint {
  if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(text) || text.length > 66) {
    throw new BootsealError(
      'usage',
      `${option} takes a number such as 16 or 0x10, not ${JSON.stringify(text.slice(0, 64))}`,
      { hint: 'write it in decimal, or in hexadecimal after 0x' },
    );
  }
  return BigInt(text);
}

/** Reads an unsigned number from 0 to `max`; throws `usage` naming the option. */
export function parseUnsigned(text: string, option: string, max: number): number {
  const value = parseBigUnsigned(text, option);
  if (value > BigInt(max))
    throw new BootsealError('usage', `${option} ${text} is more than ${max}`, { hint: 'give a smaller number' });
  return Number(value);
}

/** Reads `1,2,8`, `1-16` or a mixture, from `min` to `max`; each number once, in the order given. Throws `usage`. */
export function parseNumberList(text: string, option: string, min: number, max: number): readonly number[] {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const range = /^([0-9]{1,9})(?:-([0-9]{1,9}))?$/.exec(part);
    const first = Number(range?.[1]);
    const last = Number(range?.[2] ?? range?.[1]);
    if (range === null || first < min || last > max || first > last) {
      throw new BootsealError(
        'usage',
        `${option} ${JSON.stringify(text.slice(0, 64))} is not a list of numbers from ${min} to ${max}`,
        {
          hint: 'write 4, or 1,2,8, or 1-16',
        },
      );
    }
    for (let value = first; value <= last; value++) values.add(value);
  }
  return [...values];
}
