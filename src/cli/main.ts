/** @module The command line: finds the command, loads only its file, and maps every outcome to an exit status. */
import { Command, CommanderError } from 'commander';
import { BootsealError, type ErrorKind } from '../core/errors.ts';
import { type Io, printable, remark } from './io.ts';
import { STATUS, STATUS_BUG } from './status.ts';
import { VERSION } from './version.ts';

/** A command's summary for `bootseal --help`, and the file that holds the rest. */
interface Entry {
  readonly summary: string;
  /** Builds the command; `subcommand` is the word behind it, if the command line begins with both. */
  load(io: Io, subcommand?: string): Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  firmware: {
    summary: 'show what a firmware image can serve, and whether it checks what it boots',
    load: async (io) => (await import('./firmware.ts')).firmwareCommand(io),
  },
  measure: {
    summary: 'predict the digest that a platform must report',
    load: async (io, platform) => (await import('./measure.ts')).measureCommand(io, platform),
  },
  identify: {
    summary: 'find the launch that gives a digest, and what differs from the one that was expected',
    load: async (io) => (await import('./identify.ts')).identifyCommand(io),
  },
  explain: {
    summary: 'say what differs between a launch that was expected and one that was found, and why',
    load: async (io) => (await import('./explain.ts')).explainCommand(io),
  },
  'id-block': {
    summary: 'sign what an SNP platform must find before it starts a guest, and check such a block',
    load: async (io) => (await import('./id-block.ts')).idBlockCommand(io),
  },
  session: {
    summary: 'make the session, transport keys and record of a launch',
    load: async (io) => (await import('./session.ts')).sessionCommand(io),
  },
  verify: {
    summary: 'check what a platform reports',
    load: async (io) => (await import('./verify.ts')).verifyCommand(io),
  },
  secret: {
    summary: 'seal secrets to a verified launch',
    load: async (io) => (await import('./secret.ts')).secretCommand(io),
  },
  launch: {
    summary: 'prepare a launch from one file, and bring its secrets in',
    load: async (io) => (await import('./launch.ts')).launchCommand(io),
  },
  image: {
    summary: 'make encrypted disk images, look into them and check them',
    load: async (io) => (await import('./image.ts')).imageCommand(io),
  },
  initrd: {
    summary: 'look into initrds and add files to them',
    load: async (io) => (await import('./initrd.ts')).initrdCommand(io),
  },
  guest: {
    summary: 'read, use and erase the secrets inside the guest',
    load: async (io) => (await import('./guest.ts')).guestCommand(io),
  },
  lab: {
    summary: 'rehearse launches without the hardware: nothing in a lab is confidential',
    load: async (io) => (await import('./lab.ts')).labCommand(io),
  },
  completions: {
    summary: 'print a completion script for bash, zsh or fish',
    load: async (io) => (await import('./completions.ts')).completionsCommand(io),
  },
};

const OPTIONS_HINT = 'run it with --help for its options';

/** Runs one command line (without `node` and the script) and returns its exit status; never throws and never exits. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes('--json');
  try {
    const wanted = wantedCommand(argv);
    const subcommand = argv[0] === wanted ? argv[1] : undefined;
    const root = await program(io, (name) => name === wanted, json, subcommand);
    await root.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) return report(error, json, io);
    if (error.exitCode === 0) return 0;
    if (json) reportJson({ kind: 'usage', message: error.message.replace(/^error: /, ''), hint: OPTIONS_HINT }, io);
    return STATUS.usage;
  }
}

/** Returns the command tree with every command loaded, as the man pages and the completions need it. */
export async function wholeProgram(io: Io): Promise<Command> {
  return program(io, () => true, false);
}

function wantedCommand(argv: readonly string[]): string | undefined {
  const first = argv.find((word) => !word.startsWith('-'));
  if (first !== 'help') return first;
  const asked = argv[argv.indexOf('help') + 1];
  // commander would show the help of the whole program and name no error.
  if (asked !== undefined && !asked.startsWith('-') && !Object.hasOwn(COMMANDS, asked)) {
    throw new BootsealError('usage', `unknown command '${asked.slice(0, 64)}'`, { hint: OPTIONS_HINT });
  }
  return asked;
}

async function program(
  io: Io,
  isWanted: (name: string) => boolean,
  json: boolean,
  subcommand?: string,
): Promise<Command> {
  const root = new Command('bootseal')
    .description('Predict, verify and seal secrets to the launch of a confidential virtual machine.')
    .version(VERSION)
    .showHelpAfterError(`bootseal: hint: ${OPTIONS_HINT}`)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // With --json the error is reported once, as an object.
      writeErr: (text) => json || io.stderr.write(text.replace(/^error: .*/, (line) => printable(`bootseal: ${line}`))),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = isWanted(name) ? await entry.load(io, subcommand) : new Command(name);
    root.addCommand(inherit(command.summary(entry.summary), root));
  }
  return root;
}

/** Gives a loaded command and all below it the root's way of ending and printing. */
function inherit(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  refuseRepeats(command);
  for (const sub of command.commands) inherit(sub, command);
  return command;
}

/** Refuses an option that takes one value and is given twice: commander would keep the last without a word. */
function refuseRepeats(command: Command): void {
  for (const option of command.options.filter(({ required, optional }) => required || optional)) {
    const key = option.attributeName();
    let before: unknown;
    let count = 0;
    command.on(`option:${option.name()}`, () => {
      const value: unknown = command.getOptionValue(key);
      if (count++ > 0 && !isContinued(before, value)) {
        throw new BootsealError('usage', `${option.long ?? option.short} is given twice`, {
          hint: 'give it once: of two values one would be ignored',
        });
      }
      before = value;
    });
  }
}

/** An option that collects has all that it had before at its next value. */
function isContinued(before: unknown, value: unknown): boolean {
  return Array.isArray(before) && Array.isArray(value) && before.every((part, i) => part === value[i]);
}

/** Says on standard error what went wrong, as text or as an object, and returns the exit status. */
export function report(error: unknown, json: boolean, io: Io): number {
  if (!(error instanceof BootsealError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    io.stderr.write(`bootseal: bug: ${text}\nbootseal: hint: this is a mistake in bootseal, please report it\n`);
    return STATUS_BUG;
  }
  const { kind, message, hint } = error;
  if (json) {
    reportJson({ kind, message, hint }, io);
  } else {
    remark(io, 'error', message);
    remark(io, 'hint', hint);
  }
  return STATUS[kind];
}

/** The last line on standard error, after any warnings. */
function reportJson(
  error: { readonly kind: ErrorKind; readonly message: string; readonly hint: string },
  io: Io,
): void {
  io.stderr.write(`${printable(JSON.stringify({ error }))}\n`);
}
