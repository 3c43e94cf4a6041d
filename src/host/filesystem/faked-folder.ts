/**
 * @module A tree of files as a folder for one program: its owners, modes, devices and attributes are those that fakeroot tells that
 * program, so that anybody can make it. Where the kernel lets an ordinary user have a memory of his own that nobody else sees, the
 * folder lies there and is gone with the programs, also when they are killed.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { attributesText, checkAttributes } from '../../core/archive/attributes.ts';
import { namesOf } from '../../core/archive/names.ts';
import type { Directory } from '../../core/archive/tree.ts';
import { encodeTarEntry, TAR_END, tarPadding } from '../../core/archive/write-tar.ts';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';
import { FailedProgram, feedProgram, needProgram, type Program, type Run, runProgram } from '../program.ts';
import type { Filling } from './fill-tree.ts';
import type { Scratch } from './scratch.ts';

/** Name under which the program finds the folder. */
export const FAKED_FOLDER = 'tree';

/** One program that reads the folder. */
export interface Reader extends Run {
  readonly program: Program;
}

/** Throws `format` for what cannot be told to a program in this way. */
export function checkFaked(tree: Directory): void {
  for (const [inode, [name = '']] of namesOf(tree)) checkAttributes(name, inode);
}

/**
 * Makes the files and runs the program.
 *
 * @returns what the programs said without failing
 * @throws `tool` when a program is missing or fails, `io` when there is no room, what `contents` throws
 */
export async function runOnFaked(filling: Filling, reader: Reader, scratch: Scratch): Promise<string> {
  const { program, args, env, stop } = reader;
  for (const needed of [...PROGRAMS, program]) needProgram(needed);
  if ([...namesOf(filling.tree).keys()].some(({ xattrs }) => xattrs.size > 0)) needProgram(SETFATTR);
  const run = async ([first = '', ...rest]: readonly string[], place: string) => {
    const run = { ...reader, args: [...rest, place, MAKE, program.name, ...args], env: { ...env, ...FAKEROOT_ENV } };
    const { stderr } = await feedProgram({ name: first, package: 'util-linux' }, run, archiveOf(filling));
    return stderr;
  };
  try {
    if (scratch.inMemory && (await hasOwnMemory(scratch.folder, stop))) return await run(IN_MEMORY, scratch.folder);
    return await withFolder(scratch, (folder) => run(IN_FOLDER, folder));
  } catch (error) {
    throw failed(error, program);
  }
}

const SETFATTR: Program = { name: 'setfattr', package: 'attr' };
const PROGRAMS: readonly Program[] = [
  { name: 'fakeroot', package: 'fakeroot' },
  { name: 'tar', package: 'tar' },
];

/** A user namespace refuses owners that it does not know, which fakeroot would take for a failure: it need not try. */
const FAKEROOT_ENV = { FAKEROOTDONTTRYCHOWN: '1' };

/** Makes the files of the archive on standard input, and becomes the program. Our own files come last: without them the archive broke off. */
const MAKE = `set -eu
umask 077
tar --extract --file=- --absolute-names --same-owner --same-permissions --numeric-owner --delay-directory-restore --warning=no-timestamp
xargs --null --no-run-if-empty --max-args=2 chmod <modes
if [ -s attributes ]; then setfattr --no-dereference --restore=attributes; fi
exec "$@"`;

/** Memory without a limit of its own: whether there is room was looked at before. */
const MOUNT = 'mount -t tmpfs -o mode=0700,size=0,nr_inodes=0 tmpfs "$1"';

/** Namespaces of its own: when the first process in them ends, so do all others, and the memory goes. */
const UNSHARE = ['unshare', '--user', '--map-root-user', '--mount', '--ipc', '--pid', '--fork', '--kill-child'];

const IN_MEMORY = [
  ...[...UNSHARE, 'sh', '-euc'],
  `${MOUNT}
cd "$1"
make=$2
shift 2
exec fakeroot -- sh -c "$make" make "$@"`,
  'faked',
];

/** Removes the folder also when nobody waits for it any more. */
const IN_FOLDER = [
  ...['sh', '-uc'],
  `folder=$1
make=$2
shift 2
trap 'cd /; rm -rf -- "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder" || exit
fakeroot -- sh -c "$make" make "$@"`,
  'faked',
];

async function hasOwnMemory(folder: string, stop: AbortSignal | undefined): Promise<boolean> {
  const [first = '', ...rest] = UNSHARE;
  try {
    await runProgram(
      { name: first, package: 'util-linux' },
      { args: [...rest, 'sh', '-c', MOUNT, 'try', folder], stop },
    );
    return true;
  } catch (error) {
    if (error instanceof BootsealError && error.kind === 'tool') return false;
    throw error;
  }
}

async function withFolder<T>(scratch: Scratch, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = path.join(scratch.folder, `bootseal-${randomBytes(6).toString('hex')}.part`);
  await fs.mkdir(folder, { mode: 0o700 }).catch((cause: unknown) => Promise.reject(ioError(cause, folder, 'make')));
  try {
    return await use(folder);
  } finally {
    // A program that was ended in the midst of it may take a moment.
    await fs.rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Directories before all that is in them, contents in the order in which they come, then what has more names. */
async function* archiveOf({ tree, contents, onProgress }: Filling): AsyncGenerator<Uint8Array> {
  const names = namesOf(tree);
  const inside = (name: string) => (name === '' ? FAKED_FOLDER : `${FAKED_FOLDER}/${name}`);
  for (const [inode, [name = '']] of names) {
    if (inode.kind !== 'file') yield encodeTarEntry({ ...inode, path: inside(name) });
  }
  let done = 0;
  for await (const { inode, content } of contents()) {
    const mode = inode.mode | READABLE;
    yield encodeTarEntry({ ...inode, mode, path: inside(names.get(inode)?.[0] ?? '') });
    yield* content;
    yield tarPadding(inode.size);
    done += inode.size;
    onProgress?.(done);
  }
  let [modes, attributes] = ['', ''];
  for (const [inode, [name = '', ...more]] of names) {
    const target = inside(name);
    for (const other of more) yield encodeTarEntry({ ...inode, kind: 'link', path: inside(other), target, size: 0 });
    if (inode.kind === 'file' && (inode.mode | READABLE) !== inode.mode)
      modes += `${inode.mode.toString(8)}\0${target}\0`;
    attributes += attributesText(target, inode);
  }
  for (const [name, text] of Object.entries({ modes, attributes })) {
    yield encodeTarEntry({ ...tree.inode, kind: 'file', path: name, mode: READABLE, size: text.length });
    yield Buffer.from(text, 'latin1');
    yield tarPadding(text.length);
  }
  yield TAR_END;
}

/** Without these bits tar makes a file that its owner cannot read; chmod under fakeroot only says so. */
const READABLE = 0o600;

/** Which of the programs it was, its own words say. */
function failed(error: unknown, { name }: Program): unknown {
  if (!(error instanceof FailedProgram)) return error;
  if (/No space left on device/.test(error.words)) {
    return new BootsealError('io', `no room for the files that ${name} is to read${error.words}`, {
      hint: '--scratch DIR takes room on a disk instead, where the content then lies in the clear until the build ends',
    });
  }
  return new BootsealError(
    'tool',
    `${name}, or what gives it the files (fakeroot, tar, setfattr), failed${error.words}`,
    {
      hint: 'the reason is its own; --filesystem ext4 takes none of these programs',
    },
  );
}
