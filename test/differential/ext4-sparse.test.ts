import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ext4Units } from '../../src/core/disk/ext4-blocks.ts';
import { holds, UNIT } from '../../src/core/disk/units.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { noise, tool } from '../disk-image/raw-image.ts';
import { memoryDisk } from '../luks-image.ts';
import { describeWith } from '../needs.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const at = (name: string): string => path.join(folder, name);

/** Makes a file system with files of noise, some of them removed again; what is free is noise too. */
function makeFilesystem(size: string, ...options: string[]): void {
  fs.mkdirSync(at('tree'));
  for (let i = 0; i < 30; i++) fs.writeFileSync(at(`tree/${i}`), noise(20_000 + 30_000 * i));
  fs.writeFileSync(at('tree/zeros'), new Uint8Array(1 << 20));
  tool('/usr/sbin/mke2fs', ['-q', '-F', ...options, '-d', 'tree', 'raw', size], folder);
  for (const i of [3, 11, 12, 29]) tool('/usr/sbin/debugfs', ['-w', '-R', `rm ${i}`, 'raw'], folder);
}

/** Returns the ranges of free blocks, from first to last. */
function freeBlocks(): { blockSize: number; free: [number, number][] } {
  const dump = tool('/usr/sbin/dumpe2fs', ['raw'], folder);
  const free = [...dump.matchAll(/^ {2}Free blocks: (.*)$/gm)].flatMap(([, list = '']) =>
    list
      .split(', ')
      .filter((range) => range !== '')
      .map((range): [number, number] => {
        const [first = 0, last = first] = range.split('-').map(Number);
        return [first, last];
      }),
  );
  return { blockSize: Number(/^Block size: +(\d+)/m.exec(dump)?.[1]), free };
}

/** Says of every byte of the image whether dumpe2fs calls its block free. */
function freeMap(size: number): Uint8Array {
  const { blockSize, free } = freeBlocks();
  const map = new Uint8Array(size);
  for (const [first, last] of free) map.fill(1, first * blockSize, (last + 1) * blockSize);
  return map;
}

function differentAndFree(raw: Uint8Array, back: Uint8Array, free: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < raw.length; i++) if (raw[i] !== back[i] && free[i] === 1) count++;
  return count;
}

const FILESYSTEMS: [string, string[]][] = [
  ['64M', ['-t', 'ext4', '-b', '4096']],
  ['40M', ['-t', 'ext4', '-b', '1024', '-g', '1024']],
  ['40M', ['-t', 'ext4', '-b', '1024', '-O', '^flex_bg,^resize_inode', '-g', '2048']],
  ['40M', ['-t', 'ext4', '-b', '4096', '-O', '^metadata_csum,uninit_bg,^64bit,sparse_super2', '-g', '512']],
  ['40M', ['-t', 'ext3', '-b', '2048', '-O', '^sparse_super,^resize_inode']],
  ['40M', ['-t', 'ext4', '-b', '4096', '-O', 'metadata_csum_seed,quota', '-G', '4', '-g', '1024']],
];

describeWith(
  { name: 'mke2fs', files: ['/usr/sbin/mke2fs', '/usr/sbin/debugfs'], how: 'install e2fsprogs' },
  'e2fsprogs and the blocks that image build --sparse leaves out',
  () => {
    it.each(FILESYSTEMS)('are free, and all of those that are free from end to end: %s %o', async (size, options) => {
      makeFilesystem(size, ...options);
      const raw = new Uint8Array(fs.readFileSync(at('raw')));
      const map = freeMap(raw.length);
      const units = await ext4Units(memoryDisk(raw));
      let left = 0;
      for (let unit = 0; unit * UNIT < raw.length; unit++) {
        const isFree = map.subarray(unit * UNIT, (unit + 1) * UNIT).every((bit) => bit === 1);
        expect([unit, holds(units, unit)]).toEqual([unit, !isFree]);
        if (isFree) left++;
      }
      expect(left).toBeGreaterThan(100);
    });

    it.each([
      ['a raw disk', []],
      ['a GPT in qcow2', ['--shape', 'gpt', '--format', 'qcow2']],
    ])('are not missed by e2fsck, and all others are as they were: %s', async (_, shape) => {
      makeFilesystem('64M', '-t', 'ext4', '-b', '4096');
      const raw = fs.readFileSync(at('raw'));
      const map = freeMap(raw.length);
      const options = ['--from', 'raw', '--new-key', 'key', '--out', 'disk', '--sparse', '--json', ...shape];
      const built = await bootseal(['image', 'build', ...options], folder);
      expect(built.status, built.stderr).toBe(0);
      const { data } = JSON.parse(built.stdout);
      expect(data.everySector).toBe(false);
      expect(data.skippedBytes).toBeGreaterThan(20 << 20);
      // What was left out takes no room.
      expect(fs.statSync(at('disk')).blocks * 512).toBeLessThan((82 << 20) - data.skippedBytes + (2 << 20));

      expect((await bootseal(['image', 'verify', 'disk', '--key-file', 'key'], folder)).status).toBe(0);
      await bootseal(['image', 'extract', 'disk', '--key-file', 'key', '--out', 'back'], folder);
      expect(tool('/usr/sbin/e2fsck', ['-fn', 'back'], folder)).not.toMatch(/fix|error|corrupt/i);
      const back = fs.readFileSync(at('back'));
      expect(back).toHaveLength(raw.length);
      let different = 0;
      for (let i = 0; i < raw.length; i++) if (raw[i] !== back[i]) different++;
      expect(different).toBe(differentAndFree(raw, back, map));
      expect(different).toBeGreaterThan(data.skippedBytes * 0.9);
      fs.mkdirSync(at('out'));
      tool('/usr/sbin/debugfs', ['-R', 'rdump / out', 'back'], folder);
      tool('/usr/bin/cmp', ['tree/10', 'out/10'], folder);
      tool('/usr/bin/cmp', ['tree/zeros', 'out/zeros'], folder);
      if (!shape.includes('qcow2') || !fs.existsSync('/usr/bin/qemu-img')) return;
      tool('/usr/bin/qemu-img', ['check', 'disk'], folder);
    });

    it.each([
      ['set_super_value state 0', 'it was not unmounted'],
      ['feature needs_recovery', 'its journal was not replayed'],
      ['feature bigalloc', 'are not known well enough'],
      ['set_super_value free_blocks_count 1', undefined],
      ['set_block_group 1 free_blocks_count 7', 'ext4: group 1 says that 7 blocks are free'],
    ])('are none where the file system is not clean: %s', async (request, message) => {
      makeFilesystem('40M', '-t', 'ext4', '-b', '4096', '-O', '^metadata_csum,^resize_inode', '-g', '2048');
      tool('/usr/sbin/debugfs', ['-w', '-R', request, 'raw'], folder);
      const options = ['--from', 'raw', '--new-key', 'key', '--out', 'disk', '--sparse'];
      const built = await bootseal(['image', 'build', ...options], folder);
      expect(built.status).toBe(message === undefined ? 0 : 3);
      if (message !== undefined) expect(built.stderr).toContain(message);
      expect(['disk', 'disk.json', 'key'].map((name) => fs.existsSync(at(name)))).toEqual(
        Array(3).fill(message === undefined),
      );
    });
  },
);
