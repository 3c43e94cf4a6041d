import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { followConsole } from '../../../src/lab/console.ts';
import { scratch } from '../../cli/script.ts';

const { folder, remove } = scratch();
afterAll(remove);

async function shown(text: string): Promise<string[]> {
  const file = path.join(folder, 'console');
  fs.writeFileSync(file, text, 'latin1');
  const lines: string[] = [];
  await followConsole(file, Promise.resolve(), (line) => lines.push(line));
  return lines;
}

describe('the console of a guest', () => {
  it('comes as lines, the last one without its end too', async () => {
    expect(await shown('one\r\n\ntwo\tthree\nfour')).toEqual(['one', '', 'two\tthree', 'four']);
  });

  it('does not command the terminal', async () => {
    expect(await shown('\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2Jx\x00\n')).toEqual(['red0;title2Jx']);
  });

  it.each([
    ['without end of line', ''],
    ['and then ends it', '\n'],
  ])('is cut when a guest prints and prints %s', async (_, end) => {
    const lines = await shown(`${'x'.repeat(1_000_000)}${end}`);
    expect(lines.join('')).toHaveLength(1_000_000);
    expect(Math.max(...lines.map((line) => line.length))).toBe(4096);
  });
});
