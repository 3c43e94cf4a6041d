/** @module A source on standard input: an archive is kept in memory, a raw image goes straight to the threads that encrypt. */
import { type Packing, packingOf } from '../core/archive/packing.ts';
import { isTar } from '../core/archive/tar-header.ts';
import { PAYLOAD_START } from '../core/disk/payload.ts';
import { payloadSize } from '../core/disk/payload-size.ts';
import { BootsealError } from '../core/errors.ts';
import type { Region } from '../host/archive/stream.ts';
import type { RawSource } from '../host/image/source.ts';
import { type SourceOptions, scratchOf } from './image-source.ts';
import { type Io, streamStdin } from './io.ts';

const NAME = 'standard input';

/** Runs `useArchive` or `use` with what is on standard input. Throws `usage` for a raw image of which nobody says how long it is. */
export async function withStdin<T>(
  io: Io,
  options: SourceOptions,
  useArchive: (region: Region, packing: Packing) => Promise<T>,
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  const { start, stream } = await peek(streamStdin(io), PAYLOAD_START);
  const { spool } = await import('../host/archive/spool.ts');
  const packing = packingOf(start, NAME);
  const isArchive = packing !== 'none' || isTar(start);
  const size = isArchive ? 0 : rawSize(options, start);
  const kept = await spool(isArchive ? stream : only(start), NAME, await scratchOf(io, options));
  try {
    if (isArchive) return await useArchive(kept, packing);
    return await use({ file: NAME, handle: kept.handle, size, stream });
  } finally {
    await kept.handle.close();
  }
}

/** The header is made before the last byte is there, and a stream that is cut off must not pass for a whole one. */
function rawSize({ filesystem, size, owner, verity }: SourceOptions, start: Uint8Array): number {
  if (verity === true) {
    throw new BootsealError('usage', '--verity takes no raw image on standard input: it is read at many places', {
      hint: 'write it to a file first; archives can come on standard input',
    });
  }
  const option = filesystem !== undefined ? '--filesystem' : owner !== undefined ? '--owner' : undefined;
  if (option !== undefined) {
    throw new BootsealError('usage', `${option} is for folders and archives, not for a raw image`, {
      hint: `leave ${option} out, or send an archive with the files of the disk`,
    });
  }
  const found = size ?? payloadSize(start);
  if (found !== undefined) return found;
  throw new BootsealError('usage', 'how long is the raw image on standard input?', {
    hint: 'give its length with --size; only ext4 and EROFS say it themselves',
  });
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Returns the first bytes of a stream, at least `size` where it has so many, and the stream with them. */
async function peek(pieces: AsyncGenerator<Uint8Array>, size: number) {
  const seen: Uint8Array[] = [];
  let length = 0;
  while (length < size) {
    const next = await pieces.next();
    if (next.done === true) break;
    seen.push(next.value);
    length += next.value.length;
  }
  async function* stream(): AsyncGenerator<Uint8Array> {
    yield* seen;
    yield* pieces;
  }
  return { start: new Uint8Array(Buffer.concat(seen)), stream: stream() };
}
