/** @module `bootseal lab attack`: the host's moves against a launch, each made for real, and what stopped it. */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { lintFirmware } from '../core/firmware/lint.ts';
import { withSignals } from '../host/signals.ts';
import { findAttackParts } from '../lab/demo-parts.ts';
import { readFirmware } from './firmware-input.ts';
import { type Io, printable, resolvePath } from './io.ts';
import { Ground } from './lab-ground.ts';
import { MOVES, type Move } from './lab-moves.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

interface Options {
  readonly firmware?: string;
  readonly system: string;
  readonly json?: boolean;
}

/** Returns the command. */
export function labAttackCommand(io: Io): Command {
  return new Command('attack')
    .summary("make the host's moves against a launch, and show what stops each")
    .description(
      "Make the host's moves against a launch in the lab, each for real, and show what stopped it. Exit 0 only if each was stopped.",
    )
    .option('--firmware <file>', 'OVMF of the AmdSev kind (default: where packages have it)')
    .option('--system <folder>', "Debian system that the guest's kernel, busybox and cryptsetup are taken from", '/')
    .option('--json', 'print events, one JSON object a line')
    .addHelpText('after', HELP)
    .action(async (options: Options) => labAttack(io, options));
}

const HELP = `
Guests are started, and end with the move; where the guest itself has to stop it, it runs. QEMU is real, the processor is software,
memory is NOT encrypted. What nothing here stops is in docs/threat-model.md.

Examples:
  bootseal lab attack
  bootseal lab attack --firmware OVMF.amdsev.fd --json`;

async function labAttack(io: Io, options: Options): Promise<void> {
  const given = options.firmware === undefined ? undefined : resolvePath(io, options.firmware);
  const { run } = await import('./main.ts');
  await withSignals((stop) =>
    withTemporaryFolder('bootseal-attack-', async (folder) => {
      const parts = findAttackParts(resolvePath(io, options.system), given);
      const { image } = await readFirmware(io, parts.firmware);
      if (image === undefined) {
        throw new BootsealError('usage', `${parts.firmware} is a descriptor: the image itself is needed`, {
          hint: 'give --firmware the image that it was made of',
        });
      }
      const lint = lintFirmware(image).class;
      const ground = new Ground(io, folder, run, lint === 'enforcing' ? [] : ['--accept-firmware', lint]);
      stop.addEventListener('abort', () => void ground.clear());
      try {
        await ground.prepare(image, parts);
        await makeMoves(io, ground, MOVES, { stop, json: options.json === true });
      } catch (error) {
        // What a signal ended is no failure of its own.
        if (!stop.aborted) throw error;
      } finally {
        await ground.clear();
      }
    }),
  );
}

/** Letters of the longest name, and of what is shown of a reason. */
const NAME = Math.max(...MOVES.map(({ name }) => name.length));
const WIDTH = 120;
const LOST = 'NOT STOPPED';

/** Two lines; of what was seen the first clause. */
function moveText(name: string, verdict: string, seen: string): string {
  const [clause = ''] = printable(seen).split(';');
  return `${name.padEnd(NAME)}  ${verdict}\n    ${clause.slice(0, WIDTH)}`;
}

/** Makes moves and shows what became of each. Throws `mismatch` when one was not stopped. */
export async function makeMoves(
  io: Io,
  ground: Ground,
  moves: readonly Move[],
  { stop, json }: { readonly stop: AbortSignal; readonly json: boolean },
): Promise<void> {
  const start = Date.now();
  const print = (event: Readonly<Record<string, unknown>>, text: string) =>
    io.stdout.write(`${json ? JSON.stringify(event) : text}\n`);
  if (!json) io.stdout.write('In the lab, where memory is NOT encrypted, the host tries:\n');
  const went: string[] = [];
  for (const { name, by, make } of moves) {
    stop.throwIfAborted();
    const { stopped, seen } = await make(ground);
    // Of a guest that a signal ended nothing was seen.
    stop.throwIfAborted();
    await ground.clear();
    if (!stopped) went.push(name);
    print({ event: 'move', move: name, stopped, by, seen }, moveText(name, stopped ? `stopped by ${by}` : LOST, seen));
  }
  const seconds = Math.round((Date.now() - start) / 100) / 10;
  const stopped = moves.length - went.length;
  print(
    { event: 'done', moves: moves.length, stopped, seconds, encrypted: false },
    `${stopped} of ${moves.length} moves were stopped, in ${seconds} s. What nothing here stops: docs/threat-model.md`,
  );
  if (went.length > 0) {
    throw new BootsealError('mismatch', `not stopped: ${went.join('; ')}`, {
      hint: 'give no secret to a guest before you know why: please report it, with the output of --json',
    });
  }
}
