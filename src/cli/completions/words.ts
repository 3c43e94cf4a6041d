/** @module What there is to complete at each place of the command tree, for every shell alike. */
import type { CommandDescription, OptionDescription } from '../tree.ts';

/** A command with what may follow it. */
export interface Place {
  /** `bootseal firmware lint`. */
  readonly at: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly OptionDescription[];
  /** Values of its arguments, where only certain ones are allowed. */
  readonly values: readonly string[];
}

/** Returns the tree as a list, each command before those below it. */
export function placesBelow(command: CommandDescription): Place[] {
  const place: Place = {
    at: command.words.join(' '),
    commands: command.commands.map((sub) => ({ name: sub.words.at(-1) ?? '', summary: sub.summary })),
    options: command.options,
    values: command.arguments.flatMap((argument) => argument.choices),
  };
  return [place, ...command.commands.flatMap(placesBelow)];
}

/** Returns the text in single quotes, as bash, zsh and fish read it alike when it holds no quote and no backslash. */
export function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '’')}'`;
}
