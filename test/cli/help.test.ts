/** @module What every command's help has: the README promises examples. */
import { describe, expect, it } from 'vitest';
import { processIo } from '../../src/cli/io.ts';
import { wholeProgram } from '../../src/cli/main.ts';
import { type CommandDescription, describeCommand } from '../../src/cli/tree.ts';

const root = describeCommand(await wholeProgram(processIo()));
const below = (command: CommandDescription): CommandDescription[] =>
  command.commands.flatMap((one) => [one, ...below(one)]);
const commands = below(root);
const name = ({ words }: CommandDescription) => words.join(' ');

/** The example commands of a help text, each in one line. */
function examples({ after }: CommandDescription): readonly string[] {
  const block = /^Examples:\n((?: {2}.*\n?)+)/m.exec(after)?.[1] ?? '';
  const lines = block.replaceAll(/ *[\\|]\n */g, ' ').split(/\n| && /);
  return lines.flatMap((line) => /\bbootseal .*/.exec(line)?.[0] ?? []);
}

describe('help', () => {
  it('is of every command', () => expect(commands.length).toBeGreaterThan(35));

  it.each(commands.map((command) => [name(command), command] as const))(
    'of %s has examples of it',
    (_name, command) => {
      const own = examples(command).filter((line) => `${line} `.startsWith(`${name(command)} `));
      expect(own, command.after).not.toEqual([]);
    },
  );

  it.each(commands.map((command) => [name(command), command] as const))(
    'of %s shows options that exist',
    (_name, command) => {
      for (const line of examples(command)) {
        const shown = commands.filter((one) => `${line} `.startsWith(`${name(one)} `)).at(-1);
        const known = shown?.options.flatMap(({ names }) => names) ?? [];
        const used = [...line.replace(/ [#|] .*/, '').matchAll(/ (--[a-z][a-z0-9-]*)/g)].map(
          ([, option]) => option ?? '',
        );
        expect(
          used.filter((option) => !known.includes(option)),
          line,
        ).toEqual([]);
      }
    },
  );

  it('opens no disk by the header that the host can write', () => {
    const lines = commands.flatMap(({ after }) => after.split('\n'));
    expect(lines.filter((line) => /cryptsetup (luksO|o)pen /.test(line) && !line.includes('--header'))).toEqual([]);
  });

  it.each(['measure', 'measure snp', 'verify launch', 'identify', 'explain snp', 'firmware lint'])(
    'of %s tells the exit statuses',
    (words) => {
      expect(commands.find((one) => name(one) === `bootseal ${words}`)?.after).toMatch(/^Exit status: 0 /m);
    },
  );
});
