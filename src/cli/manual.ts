/** @module Man pages, written from the command tree in man(7) macros: one page for each command of the first level. */
import { STATUS_MEANINGS } from './status.ts';
import type { CommandDescription } from './tree.ts';
import { VERSION } from './version.ts';

/** Returns each page's file name and text. */
export function manualPages(root: CommandDescription): ReadonlyMap<string, string> {
  const pages = [root, ...root.commands];
  const names = pages.map((page) => page.words.join('-'));
  return new Map(
    pages.map((page, i) => [`${names[i]}.1`, manualPage(page, page === root, names.toSpliced(i, 1).toSorted())]),
  );
}

function manualPage(command: CommandDescription, isRoot: boolean, others: readonly string[]): string {
  const name = command.words.join('-');
  const lines = [
    '.\\" Written by `npm run man` from the command tree; change the command, not this file.',
    `.TH ${name.toUpperCase()} 1 "" "bootseal ${VERSION}" "bootseal manual"`,
    '.SH NAME',
    `${text(name)} \\- ${text(isRoot ? command.description.replace(/\.$/, '') : command.summary)}`,
    '.SH SYNOPSIS',
    ...leaves(command).flatMap((leaf) => [`.B ${text(leaf.usage)}`, '.br']),
    ...(isRoot ? rootBody(command) : commandBody(command)),
    '.SH EXIT STATUS',
    ...STATUS_MEANINGS.flatMap(([status, meaning]) => ['.TP', text(status), text(meaning)]),
    '.SH SEE ALSO',
    others.map((other) => `.BR ${text(other)} (1)`).join(' ,\n'),
  ];
  return `${lines.join('\n')}\n`;
}

function leaves(command: CommandDescription): CommandDescription[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function rootBody(root: CommandDescription): string[] {
  return [
    '.SH DESCRIPTION',
    ...paragraphs(root.description),
    '.SH COMMANDS',
    ...root.commands.flatMap((sub) => ['.TP', `.BR ${text(sub.words.join('-'))} (1)`, text(sub.summary)]),
    ...optionSection('.SH OPTIONS', root),
  ];
}

function commandBody(command: CommandDescription): string[] {
  const own = ['.SH DESCRIPTION', ...paragraphs(command.description), ...details(command, '.SH')];
  return [...own, ...command.commands.flatMap((sub) => subcommand(sub, command))];
}

function subcommand(command: CommandDescription, parent: CommandDescription): string[] {
  return [
    `.SH ${text(command.words.slice(1).join(' ').toUpperCase())}`,
    `.B ${text(command.usage)}`,
    '.PP',
    ...paragraphs(command.description),
    ...details(command.after === parent.after ? { ...command, after: '' } : command, '.SS'),
    ...command.commands.flatMap((sub) => subcommand(sub, command)),
  ];
}

function details(command: CommandDescription, heading: '.SH' | '.SS'): string[] {
  const title = (word: string) => `${heading} ${heading === '.SH' ? word.toUpperCase() : word}`;
  const terms = command.arguments.filter((argument) => argument.description !== '');
  return [
    ...(terms.length === 0 ? [] : [title('Arguments')]),
    ...terms.flatMap(({ name, description }) => ['.TP', `.I ${text(name)}`, text(description)]),
    ...optionSection(title('Options'), command),
    ...(command.after === '' ? [] : after(command.after, title)),
  ];
}

function optionSection(heading: string, { options }: CommandDescription): string[] {
  const shown = options.flatMap(({ flags, description }) => ['.TP', `.B ${text(flags)}`, text(description)]);
  return shown.length === 0 ? [] : [heading, ...shown];
}

/** Help text after the options: `Examples:` opens a section, indented lines stand as typed, others are prose. */
function after(help: string, title: (word: string) => string): string[] {
  const lines: string[] = [];
  let indented = false;
  for (const [i, line] of help.split('\n').entries()) {
    const heading = /^([A-Z][A-Za-z ]*):$/.exec(line)?.[1];
    if (line.trim() === '' && !indented) continue;
    const stays = line.startsWith(' ') || line.trim() === '';
    if (indented && !stays) lines.push('.fi', '.RE');
    if (i === 0 && heading === undefined) lines.push(title('Notes'));
    if (heading !== undefined) lines.push(title(heading));
    else if (stays) lines.push(...(indented ? [] : ['.RS', '.nf']), text(line.replace(/^ {2}/, '')));
    else lines.push(...(indented ? ['.PP'] : []), text(line));
    indented = stays;
  }
  return [...lines, ...(indented ? ['.fi', '.RE'] : [])];
}

function paragraphs(description: string): string[] {
  return description
    .split('\n\n')
    .flatMap((paragraph, i) => [...(i === 0 ? [] : ['.PP']), ...paragraph.split('\n').map(text)]);
}

/** Keeps roff from reading text as its own language. */
function text(plain: string): string {
  const escaped = plain.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('"', '\\(dq');
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}
