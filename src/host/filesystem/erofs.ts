/** @module An EROFS file system made of a folder, in a file in memory, by erofs-utils: read-only, and no larger than its files. */
import type * as fs from 'node:fs/promises';
import { EROFS_BLOCK, erofsRoom } from '../../core/disk/erofs-size.ts';
import { identifyPayload, PAYLOAD_START } from '../../core/disk/payload.ts';
import { BootsealError } from '../../core/errors.ts';
import { randomGuid } from '../../core/guid.ts';
import type { Random } from '../../core/luks/plan.ts';
import { tarOfFolder } from '../archive/folder.ts';
import { readTree } from '../archive/read-tree.ts';
import { type RawSource, readStart } from '../image/source.ts';
import { inheritedFile, runProgram } from '../program.ts';
import type { Scratch } from './scratch.ts';

/** What is wanted. */
export interface ErofsOptions {
  readonly folder: string;
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
export async function withErofsOf<T>(options: ErofsOptions, use: (source: RawSource) => Promise<T>): Promise<T> {
  const { folder, scratch, stop } = options;
  // Unlike an archive, the file system has them.
  const remark = (line: string) => (line.endsWith(': socket ignored') ? undefined : options.onRemark(line));
  const archive = tarOfFolder(folder, remark, stop);
  const { tree, contents } = await readTree([archive], { ...options, layers: false });
  await scratch.checkRoom(erofsRoom(tree));
  const handle = await scratch.open();
  try {
    await makeErofs(handle, options);
    for await (const _ of contents());
    return await use(await checkErofs(handle, stop));
  } finally {
    await handle.close();
  }
}

async function makeErofs(image: fs.FileHandle, options: ErofsOptions): Promise<void> {
  const { folder, ownedByRoot, scratch, time, random, onRemark, stop } = options;
  const args = [
    ...['--quiet', '-E', 'force-inode-extended', '-U', randomGuid(random), ...(ownedByRoot ? ['--all-root'] : [])],
    ...[inheritedFile(0), folder],
  ];
  // The option -T would give this time to all files; what the program keeps for a while must not lie on a disk.
  const env = { SOURCE_DATE_EPOCH: `${time}`, TMPDIR: scratch.folder };
  const { stderr } = await runProgram(program('mkfs.erofs'), { args, env, files: [image.fd], stop });
  for (const line of stderr.split('\n')) if (line.trim() !== '') onRemark(`mkfs.erofs: ${line.trim()}`);
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
