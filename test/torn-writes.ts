/** @module What a disk may hold when a change of a header is cut off: all stages before one, and of that one any of its sectors. */
import { createHash } from 'node:crypto';
import { findImage } from '../src/core/disk/find-image.ts';
import { headerState, type Stage, withWrites } from '../src/core/luks/header-change.ts';
import { readHeader, unlockAll } from '../src/core/luks/image.ts';
import { memoryDisk, nodeLuksCrypto } from './luks-image.ts';

const SECTOR = 512;

/** A disk as it may be found, and where the change was cut. */
export interface Torn {
  readonly at: string;
  readonly bytes: Uint8Array;
}

/** Yields the disk after each number of sectors of each stage, in order; with `every` only of so many. */
export function* cutDisks(
  bytes: Uint8Array,
  stages: readonly Stage[],
  every: (stage: Stage) => number,
): Generator<Torn> {
  let whole = bytes;
  for (const [number, stage] of stages.entries()) {
    const sectors = sectorsOf(stage);
    for (let count = 0; count < sectors.length; count += every(stage)) {
      yield { at: `stage ${number}, ${count} sectors`, bytes: withWrites(whole, sectors.slice(0, count)) };
    }
    whole = withWrites(whole, stage);
  }
  yield { at: 'the end', bytes: whole };
}

/** Returns the disk after the stages before `number`, with those sectors of it that `isWritten` says. */
export function tornDisk(
  bytes: Uint8Array,
  stages: readonly Stage[],
  number: number,
  isWritten: (sector: number) => boolean,
): Uint8Array {
  const whole = stages.slice(0, number).reduce(withWrites, bytes);
  return withWrites(
    whole,
    sectorsOf(stages[number] ?? []).filter((_, i) => isWritten(i)),
  );
}

function sectorsOf(stage: Stage): Stage {
  return stage.flatMap(({ at, bytes }) =>
    Array.from({ length: Math.ceil(bytes.length / SECTOR) }, (_, i) => ({
      at: at + i * SECTOR,
      bytes: bytes.subarray(i * SECTOR, (i + 1) * SECTOR),
    })),
  );
}

/** Returns the LUKS image that is in a file, whatever the format and the partition. */
export async function luksIn(file: Uint8Array): Promise<Uint8Array> {
  const { disk } = await findImage(memoryDisk(file), { partition: undefined, detached: false });
  return disk.read(0, disk.size);
}

const known = new Map<string, readonly number[]>();

/** Returns the keyslots that a passphrase opens; the same header with the same keyslots is tried only once. */
export async function keyslotsOf(disk: Uint8Array, passphrase: string): Promise<readonly number[]> {
  const header = await readHeader(memoryDisk(disk));
  const start = header.version === 1 ? 4096 : 2 * header.current.size;
  const areas = createHash('sha256').update(disk.subarray(start)).digest('hex');
  const name = [passphrase, headerState(header), areas].join();
  const found = known.get(name);
  if (found !== undefined) return found;
  const opened = await unlockAll(header, memoryDisk(disk), Buffer.from(passphrase), nodeLuksCrypto);
  const ids = opened.map(({ keyslot }) => keyslot);
  known.set(name, ids);
  return ids;
}
