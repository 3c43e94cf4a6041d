/** @module Bytes of an open file as a stream, and what a compressed stream holds. */
import type { FileHandle } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Packing } from '../../core/archive/packing.ts';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';
import { FailedProgram, filterProgram } from '../program.ts';

/** Part of an open file. */
export interface Region {
  /** For messages. */
  readonly name: string;
  readonly handle: FileHandle;
  readonly at: number;
  /** Bytes. */
  readonly size: number;
}

const PIECE = 1 << 18;

const AGAIN = 'copy the file again from where it is whole, and compare the two';

/** Yields the bytes of a region. Throws `io` when they cannot be read or are not there. */
export async function* readRegion({ name, handle, at, size }: Region): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < size; ) {
    const piece = new Uint8Array(Math.min(PIECE, size - done));
    const { bytesRead } = await handle
      .read(piece, 0, piece.length, at + done)
      .catch((cause: unknown) => Promise.reject(ioError(cause, name, 'read')));
    if (bytesRead === 0) {
      throw new BootsealError('io', `cannot read ${name}: it became shorter while it was read`, {
        hint: 'let nothing write to the file while it is read',
      });
    }
    done += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

/** Yields what a stream holds. Throws `format` naming `name` when it is broken, `tool` when zstd is missing. */
export async function* unpack(
  packed: AsyncIterable<Uint8Array>,
  packing: Packing,
  name: string,
  stop: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (packing === 'none') yield* packed;
  else if (packing === 'gzip') yield* gunzip(packed, name);
  else yield* unzstd(packed, name, stop);
}

async function* gunzip(packed: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: PIECE });
  pipeline(Readable.from(packed, { objectMode: false }), stream, () => undefined);
  try {
    for await (const piece of stream) yield piece as Uint8Array;
  } catch (cause) {
    if (!`${(cause as NodeJS.ErrnoException).code}`.startsWith('Z_')) throw cause;
    throw new BootsealError('format', `${name}: broken gzip data`, { hint: AGAIN, cause });
  } finally {
    stream.destroy();
  }
}

const ZSTD = { name: 'zstd', package: 'zstd' };

async function* unzstd(
  packed: AsyncIterable<Uint8Array>,
  name: string,
  stop: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    yield* filterProgram(ZSTD, { args: ['-dcq'], stop }, packed);
  } catch (cause) {
    if (!(cause instanceof FailedProgram)) throw cause;
    throw new BootsealError('format', `${name}: broken zstd data`, { hint: AGAIN, cause });
  }
}
