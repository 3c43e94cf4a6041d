/** @module The end of a gzip member, which only decompressing it tells. */

import * as zlib from 'node:zlib';
import { INITRD_AGAIN } from '../../core/archive/cpio.ts';
import { pass, type Source, take } from '../../core/archive/source.ts';
import { BootsealError } from '../../core/errors.ts';

/** Bytes that are decompressed at once. */
const PIECE = 1 << 16;

const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16 } as const;

/** Passes one gzip member (RFC 1952). Throws `format` where it is broken. */
export async function passGzip(source: Source): Promise<void> {
  const header = await take(source, 10, 'gzip header');
  const flags = header[3] ?? 0;
  if (header[1] !== 0x8b || header[2] !== 8)
    throw new BootsealError('format', 'gzip: wrong magic number', INITRD_AGAIN);
  if ((flags & FLAG.extra) !== 0) {
    const size = await take(source, 2, 'gzip header');
    await pass(source, (size[0] ?? 0) + 256 * (size[1] ?? 0), 'gzip header');
  }
  if ((flags & FLAG.name) !== 0) await passText(source);
  if ((flags & FLAG.comment) !== 0) await passText(source);
  if ((flags & FLAG.headerCrc) !== 0) await pass(source, 2, 'gzip header');
  await passDeflate(source);
  await pass(source, 8, 'gzip checksum');
}

async function passText(source: Source): Promise<void> {
  for (;;) if ((await take(source, 1, 'gzip header'))[0] === 0) return;
}

async function passDeflate(source: Source): Promise<void> {
  const inflate = zlib.createInflateRaw();
  let ended = false;
  const done = new Promise<void>((resolve, reject) => {
    inflate.on('end', () => {
      ended = true;
      resolve();
    });
    inflate.on('error', (cause) =>
      reject(new BootsealError('format', 'gzip: the data are broken', { ...INITRD_AGAIN, cause })),
    );
  });
  done.catch(() => undefined);
  inflate.resume();
  try {
    await feed(source, inflate, done, () => ended);
  } finally {
    inflate.destroy();
  }
}

async function feed(
  source: Source,
  inflate: zlib.InflateRaw,
  done: Promise<void>,
  hasEnded: () => boolean,
): Promise<void> {
  for (;;) {
    const piece = await source.peek(PIECE);
    if (piece.length === 0) {
      throw new BootsealError('format', `gzip: the data end at byte ${source.position}, inside it`, INITRD_AGAIN);
    }
    const before = inflate.bytesWritten;
    // A copy, since the source may use its memory again while zlib reads.
    await Promise.race([new Promise<void>((resolve) => inflate.write(new Uint8Array(piece), () => resolve())), done]);
    // What has ended takes no more than it needed.
    await source.skip(inflate.bytesWritten - before);
    if (hasEnded() || inflate.bytesWritten - before < piece.length) return done;
  }
}
