/** @module `--seed`: the same disk from the same content, for tests. */
import { createHash } from 'node:crypto';
import type { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { randomFromSeed } from '../core/luks/seed.ts';
import type { RawSource } from '../host/image/source.ts';
import { checkUnchanged } from '../host/image/write-image.ts';
import { ioError } from '../host/io-error.ts';
import { nodeStream } from '../host/node-luks.ts';
import { type Io, remark } from './io.ts';

/** What commander makes of the option. */
export interface SeedOptions {
  readonly seed?: string;
}

/** What the output says of such a disk. */
export const TEST_ONLY = 'made from --seed: whoever knows seed and content has its keys';

/** Options that say where bytes come from and go to, or who may open them, and not what is encrypted how. */
const NAMES = [
  'from',
  'out',
  'scratch',
  'keyFile',
  'newKey',
  'recoveryKeyFile',
  'keepNewline',
  'force',
  'json',
  'seed',
];
/** Of these it matters that they are given, not what the files are called. */
const FILES = ['detachedHeader', 'esp'];

/** Adds the option. */
export function addSeedOption(command: Command): Command {
  return command.option(
    '--seed <text>',
    'FOR TESTS ONLY: make the same disk from the same content. The seed is no secret: whoever knows it and the content has every key of the disk',
  );
}

/**
 * Returns the world in which the files of a disk become a file system: with a seed, one without chance; says so aloud. It uses no key.
 *
 * @throws `usage` for an empty seed
 */
export function seededIo<Options extends SeedOptions>(io: Io, options: Options): Io {
  const { seed } = options;
  if (seed === undefined) return io;
  if (seed === '')
    throw new BootsealError('usage', 'the seed is empty', { hint: 'give --seed a text, or leave it out' });
  remark(io, 'warning', `TEST ONLY: the disk is ${TEST_ONLY}`);
  return withRandom(io, seed, { purpose: 'filesystem', content: new Uint8Array(0), options: canonical(options) });
}

/**
 * Returns the source, and the world in which it becomes a disk: with a seed, the randomness follows from the content too, so that no
 * key serves two contents.
 *
 * @throws `io` when the source cannot be read, `usage` when it cannot be read twice; what `stop` was aborted with
 */
export async function seededBySource<Options extends SeedOptions>(
  io: Io,
  options: Options,
  source: RawSource,
  stop: AbortSignal,
): Promise<{ readonly io: Io; readonly source: RawSource }> {
  const { seed } = options;
  if (seed === undefined) return { io, source };
  if (source.stream !== undefined) {
    throw new BootsealError('usage', '--seed takes no raw image on standard input: its keys follow from all of it', {
      hint: 'write it to a file first; archives can come on standard input',
    });
  }
  // What is encrypted later must be what was digested here.
  const state = await source.handle.stat({ bigint: true });
  const content = await digestOf(source, stop);
  await checkUnchanged(source, state);
  const context = { purpose: 'image', content, options: canonical(options) };
  return { io: withRandom(io, seed, context), source: { ...source, state } };
}

function withRandom(io: Io, seed: string, context: Parameters<typeof randomFromSeed>[1]): Io {
  return { ...io, randomBytes: randomFromSeed(new Uint8Array(Buffer.from(seed)), context, nodeStream) };
}

function canonical(options: object): string {
  const kept = Object.entries(options).filter(([name]) => !NAMES.includes(name));
  const plain = kept.map(([name, value]) => [name, FILES.includes(name) ? true : value]);
  return JSON.stringify(plain.sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function digestOf({ file, handle }: RawSource, stop: AbortSignal): Promise<Uint8Array> {
  const hash = createHash('sha256');
  try {
    for await (const piece of handle.createReadStream({ start: 0, autoClose: false })) {
      stop.throwIfAborted();
      hash.update(piece);
    }
  } catch (cause) {
    stop.throwIfAborted();
    throw ioError(cause, file, 'read');
  }
  return new Uint8Array(hash.digest());
}
