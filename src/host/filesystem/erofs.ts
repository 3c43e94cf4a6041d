/** @module An EROFS file system made of a folder or of archives, in a file in memory, by erofs-utils: read-only, and no larger than its files. */
import { readSync } from 'node:fs';
import type * as fs from 'node:fs/promises';
import { checkErofsTree } from '../../core/disk/check-erofs.ts';
import { EROFS_BLOCK, erofsRoom } from '../../core/disk/erofs-size.ts';
import { identifyPayload, PAYLOAD_START } from '../../core/disk/payload.ts';
import { BootsealError } from '../../core/errors.ts';
import { randomGuid } from '../../core/guid.ts';
import type { Random } from '../../core/luks/plan.ts';
import { tarOfFolder } from '../archive/folder.ts';
import { type ReadTreeOptions, readTree } from '../archive/read-tree.ts';
import type { TarFile } from '../archive/tar-file.ts';
import { type RawSource, readStart } from '../image/source.ts';
import { inheritedFile, type Run, runProgram } from '../program.ts';
import { checkFaked, FAKED_FOLDER, runOnFaked } from './faked-folder.ts';
import type { Scratch } from './scratch.ts';

/** What is wanted. */
export interface ErofsOptions {
  readonly ownedByRoot: boolean;
  readonly scratch: Scratch;
  /** Seconds since 1970: when the file system was made; nothing in it is younger. */
  readonly time: number;
  readonly random: Random;
  /** Told what the programs say without failing, a line each. */
  readonly onRemark: (line: string) => void;
  readonly stop?: AbortSignal | undefined;
}

const program = (name: string) => ({ name, package: 'erofs-utils' });

/**
 * Runs `use` with a file system of all files below a folder; nothing is left but what `use` makes.
 *
 * The folder is read before and after: what cannot be read or is not acceptable is refused, as for ext4, before anything is made,
 * and so is a folder that is no longer what it was.
 *
 * @throws `io` when the folder cannot be read or changes, or there is no room; `format` for what no disk is made from; `tool` when
 * a program of erofs-utils is missing or fails
 */
export async function withErofsOf<T>(
  folder: string,
  options: ErofsOptions,
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  const { ownedByRoot, scratch, onRemark, stop } = options;
  // Unlike an archive, the file system has them.
  const remark = (line: string) => (line.endsWith(': socket ignored') ? undefined : onRemark(line));
  const archive = tarOfFolder(folder, remark, stop);
  const { tree, contents } = await readTree([archive], { ...options, layers: false });
  await scratch.checkRoom(erofsRoom(tree));
  return withImage(options, use, async (image) => {
    const run = makeRun(image, options, [...(ownedByRoot ? ['--all-root'] : []), inheritedFile(0), folder]);
    const { stderr } = await runProgram(program('mkfs.erofs'), run);
    for await (const _ of contents());
    return stderr;
  });
}

/**
 * Runs `use` with a file system of all files of `archives`; nothing is left but what `use` makes.
 *
 * @throws as {@link withErofsOf}; `tool` also when a program is missing that {@link runOnFaked} takes
 */
export async function withErofsOfArchives<T>(
  archives: readonly TarFile[],
  options: ErofsOptions & ReadTreeOptions & { readonly onProgress?: (done: number, total: number) => void },
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  const { scratch, onProgress } = options;
  const { tree, bytes, contents } = await readTree(archives, options);
  checkFaked(tree);
  // The files lie there as files as well.
  await scratch.checkRoom(2 * erofsRoom(tree));
  return withImage(options, use, async (image) => {
    const run = makeRun(image, options, [inheritedFile(0), FAKED_FOLDER]);
    const progress = (done: number) => onProgress?.(done, bytes);
    const filling = { tree, contents, onProgress: progress };
    const said = await runOnFaked(filling, { ...run, program: program('mkfs.erofs') }, scratch);
    checkErofsTree(tree, (at, size) => readAt(image.fd, at, size));
    return said;
  });
}

/** Fewer bytes at the end of the file. */
function readAt(fd: number, at: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  return bytes.subarray(0, readSync(fd, bytes, 0, size, at));
}

/** Gives `make` an empty file, passes on what the programs said, and runs `use` with what was made. */
async function withImage<T>(
  { scratch, onRemark, stop }: ErofsOptions,
  use: (source: RawSource) => Promise<T>,
  make: (image: fs.FileHandle) => Promise<string>,
): Promise<T> {
  const image = await scratch.open();
  try {
    const said = await make(image);
    for (const line of said.split('\n')) if (line.trim() !== '') onRemark(`mkfs.erofs: ${line.trim()}`);
    return await use(await checkErofs(image, stop));
  } finally {
    await image.close();
  }
}

function makeRun(image: fs.FileHandle, { scratch, time, random, stop }: ErofsOptions, args: readonly string[]): Run {
  return {
    args: ['--quiet', '-E', 'force-inode-extended', '-U', randomGuid(random), ...args],
    // The option -T would give this time to all files; what the program keeps for a while must not lie on a disk.
    env: { SOURCE_DATE_EPOCH: `${time}`, TMPDIR: scratch.folder },
    files: [image.fd],
    stop,
  };
}

/** The checker has the last word; a block larger than an encrypted sector's 4096 bytes is what few machines can mount. */
async function checkErofs(handle: fs.FileHandle, stop: AbortSignal | undefined): Promise<RawSource> {
  await runProgram(program('fsck.erofs'), { args: [inheritedFile(0)], files: [handle.fd], stop });
  const source = { file: 'the new file system', handle, size: (await handle.stat()).size };
  const found = identifyPayload(await readStart(source, PAYLOAD_START))?.what ?? 'something unknown';
  if (found === `EROFS with blocks of ${EROFS_BLOCK} bytes` && source.size % EROFS_BLOCK === 0) return source;
  throw new BootsealError('tool', `mkfs.erofs made ${found} in ${source.size} bytes, not EROFS in blocks of 4096`, {
    hint: 'make the file system yourself, with mkfs.erofs -b 4096, and build the disk from that',
  });
}
