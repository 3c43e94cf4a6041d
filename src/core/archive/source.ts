/** @module What an archive is read from: bytes that go by once, out of a file or a decompressor. */
import { BootsealError } from '../errors.ts';
import type { Disk } from '../luks/disk.ts';

/** Bytes in one direction. */
export interface Source {
  /** Bytes that have gone by. */
  readonly position: number;
  /** Returns the next `size` bytes, fewer at the end, without passing them. */
  peek(size: number): Promise<Uint8Array>;
  /** Passes `size` bytes; returns how many there were. */
  skip(size: number): Promise<number>;
}

/** Returns the next `size` bytes and passes them; throws `format` naming `what` when there are fewer. */
export async function take(source: Source, size: number, what: string): Promise<Uint8Array> {
  const bytes = await source.peek(size);
  if (bytes.length < size) throw endsInside(what, source.position + bytes.length);
  await source.skip(size);
  return bytes;
}

/** Passes `size` bytes; throws `format` naming `what` when there are fewer. */
export async function pass(source: Source, size: number, what: string): Promise<void> {
  if ((await source.skip(size)) < size) throw endsInside(what, source.position);
}

/** Passes zero bytes up to the next other one, or to the end; returns whether there is another one. */
export async function passZeros(source: Source): Promise<boolean> {
  for (;;) {
    const bytes = await source.peek(WINDOW);
    if (bytes.length === 0) return false;
    const other = bytes.findIndex((byte) => byte !== 0);
    await source.skip(other === -1 ? bytes.length : other);
    if (other !== -1) return true;
  }
}

function endsInside(what: string, end: number): BootsealError {
  return new BootsealError('format', `${what}: the data end at byte ${end}, inside it`, {
    hint: 'the file was cut short or is broken: copy it again from where it is whole',
  });
}

/** Bytes read at once, so that small steps do not each cost a read. */
const WINDOW = 1 << 16;

/** Returns the bytes of `disk` from `start` as a source; its position is that on the disk. */
export function diskSource(disk: Disk, start: number): Source {
  let position = Math.min(start, disk.size);
  let window: Uint8Array = new Uint8Array(0);
  let windowAt = position;

  return {
    get position() {
      return position;
    },
    async peek(size) {
      const end = Math.min(position + size, disk.size);
      if (position < windowAt || end > windowAt + window.length) {
        window = await disk.read(position, Math.min(Math.max(size, WINDOW), disk.size - position));
        windowAt = position;
      }
      return window.subarray(position - windowAt, end - windowAt);
    },
    async skip(size) {
      const passed = Math.min(size, disk.size - position);
      position += passed;
      return passed;
    },
  };
}

/** Returns a stream as a source that keeps no more than a piece of it and what is peeked at. */
export function streamSource(stream: AsyncIterable<Uint8Array>): Source {
  const pieces = stream[Symbol.asyncIterator]();
  let position = 0;
  let buffer: Uint8Array = new Uint8Array(0);

  async function next(): Promise<Uint8Array | undefined> {
    const piece = await pieces.next();
    return piece.done === true ? undefined : piece.value;
  }

  return {
    get position() {
      return position;
    },
    async peek(size) {
      while (buffer.length < size) {
        const piece = await next();
        if (piece === undefined) break;
        const joined = new Uint8Array(buffer.length + piece.length);
        joined.set(buffer);
        joined.set(piece, buffer.length);
        buffer = joined;
      }
      return buffer.subarray(0, size);
    },
    async skip(size) {
      let left = size;
      while (left > buffer.length) {
        left -= buffer.length;
        const piece = await next();
        if (piece === undefined) {
          buffer = new Uint8Array(0);
          position += size - left;
          return size - left;
        }
        buffer = piece;
      }
      buffer = buffer.subarray(left);
      position += size;
      return size;
    },
  };
}
