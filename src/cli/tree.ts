/** @module The command tree as data: what the man pages and the completion scripts are written from. */
import type { Command, Option } from 'commander';

/** An option of a command. */
export interface OptionDescription {
  /** As the help shows it: `-f, --firmware <file>`. */
  readonly flags: string;
  /** `--firmware` and, where there is one, `-f`. */
  readonly names: readonly string[];
  readonly takesValue: boolean;
  /** The only values it takes; empty when any will do. */
  readonly choices: readonly string[];
  readonly description: string;
}

/** A command and everything below it. */
export interface CommandDescription {
  /** What is typed to reach it: `['bootseal', 'firmware', 'lint']`. */
  readonly words: readonly string[];
  /** One line without a full stop. */
  readonly summary: string;
  readonly description: string;
  /** `bootseal firmware lint [options] <file>`. */
  readonly usage: string;
  readonly arguments: readonly {
    readonly name: string;
    readonly choices: readonly string[];
    readonly description: string;
  }[];
  readonly options: readonly OptionDescription[];
  /** The text below the options in its help: the examples. */
  readonly after: string;
  readonly commands: readonly CommandDescription[];
}

/** Describes a command as its own help would. */
export function describeCommand(command: Command, above: readonly string[] = []): CommandDescription {
  const help = command.createHelp();
  const words = [...above, command.name()];
  return {
    words,
    summary: command.summary() || command.description(),
    description: command.description() || command.summary(),
    usage: [...words, command.usage()].join(' '),
    arguments: help.visibleArguments(command).map((argument) => ({
      name: help.argumentTerm(argument),
      choices: argument.argChoices ?? [],
      description: help.argumentDescription(argument),
    })),
    options: help.visibleOptions(command).map((option) => ({
      flags: option.flags,
      names: [option.long, option.short].filter((name) => name !== undefined),
      takesValue: takesValue(option),
      choices: option.argChoices ?? [],
      description: help.optionDescription(option),
    })),
    after: textAfterHelp(command),
    commands: command.commands.filter((sub) => sub.name() !== 'help').map((sub) => describeCommand(sub, words)),
  };
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

/** Returns what `addHelpText('after', …)` has added, which commander gives only as a part of the whole printed help. */
function textAfterHelp(command: Command): string {
  const output = command.configureOutput();
  let printed = '';
  const writeOut = (text: string) => {
    printed += text;
  };
  command.configureOutput({ ...output, writeOut });
  command.outputHelp();
  command.configureOutput(output);
  return printed.slice(command.helpInformation().length).trimEnd().replace(/^\n+/, '');
}
