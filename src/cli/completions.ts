/** @module `bootseal completions`: prints a static script, so that pressing TAB starts no Node. */
import { Argument, Command } from 'commander';
import { bashScript } from './completions/bash.ts';
import { fishScript } from './completions/fish.ts';
import { zshScript } from './completions/zsh.ts';
import type { Io } from './io.ts';
import { wholeProgram } from './main.ts';
import { describeCommand } from './tree.ts';

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** Builds the command. */
export function completionsCommand(io: Io): Command {
  return new Command('completions')
    .description('Prints a script that completes commands, options and their values when TAB is pressed.')
    .addArgument(new Argument('<shell>', 'the shell that will read the script').choices(Object.keys(SCRIPTS)))
    .option('--json', 'print one JSON object with shell and script')
    .addHelpText(
      'after',
      `
Examples:
  bootseal completions bash > ~/.local/share/bash-completion/completions/bootseal
  bootseal completions zsh > /usr/local/share/zsh/site-functions/_bootseal
  bootseal completions fish > ~/.config/fish/completions/bootseal.fish`,
    )
    .action(async (shell: keyof typeof SCRIPTS, { json }: { readonly json?: true }) => {
      const script = SCRIPTS[shell](describeCommand(await wholeProgram(io)));
      io.stdout.write(json === true ? `${JSON.stringify({ shell, script })}\n` : script);
    });
}
