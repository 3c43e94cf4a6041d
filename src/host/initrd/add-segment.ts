/** @module Appends an archive to an initrd. The base is copied as it is, and never unpacked to a disk. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { encodeMember, encodeTrailer, FILE_TYPE, fill } from '../../core/archive/cpio.ts';
import { InitrdTree } from '../../core/archive/initrd-tree.ts';
import { zerosBeforeNext } from '../../core/archive/segments.ts';
import { BootsealError } from '../../core/errors.ts';
import type { Disk } from '../../core/luks/disk.ts';
import { withDisk } from '../disk.ts';
import { ioError } from '../io-error.ts';
import { streamNewFile } from '../new-file.ts';
import { withSignals } from '../signals.ts';
import { pieces } from './decompress.ts';
import { readInitrd } from './read-initrd.ts';

/** A file that is to be added. */
export interface AddedFile {
  /** Path from the root of the initrd. */
  readonly name: string;
  /** Where its content is. */
  readonly from: string;
  /** Permission bits; those of the content's file decide between 0755 and 0644 when this is undefined. */
  readonly mode: number | undefined;
  /** The program that made the folder where the file goes: it has to be there. */
  readonly folderOf?: string;
}

/** What was added. */
export interface Added {
  /** Bytes of the new initrd. */
  readonly bytes: number;
  readonly sha256: string;
  readonly segment: { readonly offset: number; readonly bytes: number };
  readonly files: readonly {
    readonly name: string;
    readonly mode: string;
    readonly bytes: number;
    readonly replaces: boolean;
  }[];
}

interface Part {
  readonly name: string;
  readonly mode: number;
  readonly size: number;
  /** undefined for a folder. */
  readonly from: string | undefined;
}

/**
 * Writes to `out` the initrd `base` and behind it an archive with `files`. The same input gives the same bytes: no times, owners
 * or numbers of this machine are in them.
 *
 * @throws `usage` when a file cannot lie where it should, `format` when the base is no initrd, `tool` when it cannot be
 * decompressed to see what is in it, `io`; what `announce` throws, which is told what was added while `out` can still be taken back
 */
export async function addSegment(
  base: string,
  out: string,
  files: readonly AddedFile[],
  replace: boolean,
  announce: (added: Added) => void = () => undefined,
): Promise<Added> {
  return withDisk(base, async (disk) => {
    const { tree, zeros } = await examine(disk);
    const { parts, added } = await plan(tree, files);
    const hash = createHash('sha256');
    const offset = disk.size + zeros;
    let bytes = 0;
    let sha256 = '';
    const write = async (stop: AbortSignal, take: (piece: Uint8Array) => Promise<void>) => {
      const send = async (piece: Uint8Array) => {
        stop.throwIfAborted();
        hash.update(piece);
        bytes += piece.length;
        await take(piece);
      };
      for await (const piece of pieces(disk, { offset: 0, size: disk.size })) await send(piece);
      await send(new Uint8Array(zeros));
      await writeArchive(parts, send);
    };
    const result = (): Added => ({ bytes, sha256, segment: { offset, bytes: bytes - offset }, files: added });
    const done = () => {
      sha256 = hash.digest('hex');
      announce(result());
    };
    await withSignals((stop) => streamNewFile(out, 0o644, replace, (take) => write(stop, take), done));
    return result();
  });
}

async function examine(disk: Disk): Promise<{ readonly tree: InitrdTree; readonly zeros: number }> {
  const tree = new InitrdTree();
  const segments = await readInitrd(disk, (member) => tree.add(member));
  const unread = segments.find(({ content }) => content === undefined);
  if (unread !== undefined) {
    throw new BootsealError(
      'tool',
      `the segment at byte ${unread.offset} cannot be read (${unread.compression}): ${unread.why}`,
      {
        hint: 'what is in it must be known: a folder where it has a link would take the place of that link',
      },
    );
  }
  const last = segments.at(-1);
  return { tree, zeros: last === undefined ? 0 : zerosBeforeNext(disk.size, last) };
}

async function plan(tree: InitrdTree, files: readonly AddedFile[]) {
  const parts: Part[] = [];
  const added: Added['files'][number][] = [];
  const seen = new Set<string>();
  for (const { name: wanted, from, mode: given, folderOf } of files) {
    const stat = await fs.stat(from).catch((cause: unknown) => Promise.reject(ioError(cause, from, 'read')));
    if (!stat.isFile()) {
      throw new BootsealError('io', `cannot add ${from}: no regular file`, {
        hint: 'name a file, or a link to one: folders come with what is in them, and devices the kernel makes',
      });
    }
    const { name, newFolders, replaces } = tree.place(wanted);
    if (folderOf !== undefined && newFolders.length > 0) {
      throw new BootsealError(
        'usage',
        `the initrd has no folder ${path.dirname(wanted)}: ${folderOf} did not make it`,
        { hint: 'give an initrd that dracut made, or take --with unlock and have its init call it' },
      );
    }
    if (seen.has(name)) {
      throw new BootsealError('usage', `two files are to be added as ${JSON.stringify(name)}`, {
        hint: 'give one of them another path, or leave one out',
      });
    }
    seen.add(name);
    const mode = given ?? ((stat.mode & 0o111) === 0 ? 0o644 : 0o755);
    for (const folder of newFolders)
      parts.push({ name: folder, mode: FILE_TYPE.directory | 0o755, size: 0, from: undefined });
    parts.push({ name, mode: FILE_TYPE.file | mode, size: stat.size, from });
    added.push({ name, mode: mode.toString(8).padStart(4, '0'), bytes: stat.size, replaces });
  }
  return { parts, added };
}

async function writeArchive(parts: readonly Part[], send: (piece: Uint8Array) => Promise<void>): Promise<void> {
  for (const [i, part] of parts.entries()) {
    await send(encodeMember(part, i + 1));
    if (part.from !== undefined) await sendFile(part.from, part.size, send);
    await send(new Uint8Array(fill(part.size)));
  }
  await send(encodeTrailer());
}

async function sendFile(file: string, size: number, send: (piece: Uint8Array) => Promise<void>): Promise<void> {
  const total = await withDisk(file, async (disk) => {
    for await (const piece of pieces(disk, { offset: 0, size: Math.min(size, disk.size) })) await send(piece);
    return disk.size;
  });
  if (total !== size) {
    throw new BootsealError('io', `${file} changed while it was read`, {
      hint: 'let nothing write to the file, and try again',
    });
  }
}
