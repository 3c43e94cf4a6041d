/** @module A guest in a folder: the kernel's files as tests need them, and a busybox whose devmem reads an array. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { BootsealError } from '../src/core/errors.ts';
import { guidToBytes } from '../src/core/guid.ts';
import { TABLE_HEADER_GUID, TableHead } from '../src/core/secret/table.ts';
import type { Guest } from '../src/guest/guest.ts';

export const DISK = '736869e5-84f0-4973-92ec-06879ce3da0b';
export const KBC = 'e6f5a162-d67f-4750-a67c-5d065f2a9910';
export const BASE = 0x810000;

/** Writes files below `folder`; a value that ends a path with a slash makes a folder. */
export function writeTree(folder: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    if (name.endsWith('/')) fs.mkdirSync(file, { recursive: true });
    else {
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, content);
    }
  }
}

/** What a guest without the driver has. */
export const driverless: Readonly<Record<string, string>> = {
  'proc/mounts': 'proc /proc proc rw 0 0\n',
  'proc/cmdline': 'root=/dev/vda bootseal.secret=0x810000,0xc00 quiet\n',
  'proc/iomem': '00100000-0080ffff : System RAM\n00810000-00810fff : Reserved\n00811000-3fffffff : System RAM\n',
  'proc/sys/kernel/osrelease': '6.1.0-test\n',
  'dev/mem': '',
};

/** A table of these entries, filled up to `size` bytes with zeros. */
export function secretArea(entries: readonly (readonly [string, string])[], size = 0xc00): Uint8Array {
  const area = new Uint8Array(size);
  let at: number = TableHead.size;
  for (const [guid, value] of entries) {
    const bytes = Buffer.from(value);
    area.set(TableHead.pack({ guid: guidToBytes(guid), length: TableHead.size + bytes.length }), at);
    area.set(bytes, at + TableHead.size);
    at += TableHead.size + bytes.length;
  }
  area.set(TableHead.pack({ guid: guidToBytes(TABLE_HEADER_GUID), length: at }));
  return area;
}

/** A guest below `root` whose memory from `BASE` on is `memory`; `calls` are the arguments that its programs were given. */
export function guestWith(
  root: string,
  memory: Uint8Array,
  over: Partial<Guest> = {},
): Guest & { readonly calls: readonly string[][] } {
  const calls: string[][] = [];
  const devmem = (args: readonly string[]): string => {
    const [applet, address, width, value] = args;
    if (applet !== 'devmem') throw new BootsealError('tool', 'busybox: applet not found', { hint: 'x' });
    const at = Number(address) - BASE;
    const size = Number(width) / 8;
    if (at % size !== 0) throw new BootsealError('tool', 'busybox: not aligned', { hint: 'x' });
    if (value !== undefined) memory.fill(Number(value), at, at + size);
    const word = Uint8Array.from({ length: size }, (_, i) => memory[at + i] ?? 0xee);
    return value === undefined ? `0x${Buffer.from(word).reverse().toString('hex').toUpperCase()}\n` : '';
  };
  return {
    root,
    isRootUser: true,
    calls,
    async run(program, { args }) {
      calls.push([program.name, ...args]);
      return { stdout: devmem(args) };
    },
    ...over,
  };
}
