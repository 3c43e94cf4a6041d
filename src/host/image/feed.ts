/**
 * @module A stream handed to the threads that encrypt: blocks go by in their order through a few places in shared memory, each of
 * which is free again when a thread has taken what lay there.
 */
import { BootsealError } from '../../core/errors.ts';
import { BLOCK_SIZE } from '../xts/xts.ts';

/** What both sides share. */
export interface Feed {
  /** The places, one after the other. */
  readonly blocks: Uint8Array;
  /** What lies in each place: the number of its block, counted from 1, or 0 when it is free. */
  readonly full: Int32Array;
}

const PLACES = 4;

const LENGTH = { hint: 'give its whole length with --size, or write it to a file first' };

/** How long a side waits before it looks whether all shall stop; milliseconds. */
const LOOK_EVERY = 100;

/** Returns empty places. */
export function newFeed(): Feed {
  return {
    blocks: new Uint8Array(new SharedArrayBuffer(PLACES * BLOCK_SIZE)),
    full: new Int32Array(new SharedArrayBuffer(4 * PLACES)),
  };
}

/**
 * Passes on `size` bytes, which must be all that the stream has.
 *
 * @throws `io` when there are fewer or more, what the stream throws
 */
export async function feedBlocks(
  { blocks, full }: Feed,
  stream: AsyncIterable<Uint8Array>,
  { file, size }: { readonly file: string; readonly size: number },
  stopped: () => boolean,
): Promise<void> {
  let done = 0;
  for await (const piece of stream) {
    if (done + piece.length > size) throw new BootsealError('io', `${file} has more than ${size} bytes`, LENGTH);
    for (let taken = 0; taken < piece.length; ) {
      const [block, inside] = [Math.floor(done / BLOCK_SIZE), done % BLOCK_SIZE];
      const place = block % PLACES;
      if (inside === 0) while (!stopped() && Atomics.load(full, place) !== 0) await change(full, place);
      if (stopped()) return;
      const part = piece.subarray(taken, taken + BLOCK_SIZE - inside);
      blocks.set(part, place * BLOCK_SIZE + inside);
      taken += part.length;
      done += part.length;
      if (done % BLOCK_SIZE === 0 || done === size) {
        Atomics.store(full, place, block + 1);
        Atomics.notify(full, place);
      }
    }
  }
  if (done < size) throw new BootsealError('io', `${file} ends after ${done} bytes of ${size}`, LENGTH);
}

/** Node 20 has it, TypeScript's ES2023 does not. */
interface WaitAsync {
  waitAsync(array: Int32Array, at: number, value: number, timeout: number): { readonly value: unknown };
}

async function change(full: Int32Array, place: number): Promise<void> {
  const value = Atomics.load(full, place);
  if (value !== 0) await (Atomics as unknown as WaitAsync).waitAsync(full, place, value, LOOK_EVERY).value;
}

/** Takes block number `block` (from 0) in a thread that may wait; returns false when all shall stop. */
export function takeBlock({ blocks, full }: Feed, block: number, into: Uint8Array, stopped: () => boolean): boolean {
  const place = block % PLACES;
  for (;;) {
    const present = Atomics.load(full, place);
    if (present === block + 1) break;
    if (stopped()) return false;
    Atomics.wait(full, place, present, LOOK_EVERY);
  }
  into.set(blocks.subarray(place * BLOCK_SIZE, place * BLOCK_SIZE + into.length));
  Atomics.store(full, place, 0);
  Atomics.notify(full, place);
  return true;
}
