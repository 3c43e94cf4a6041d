import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { noise, tool } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';

const VERITYSETUP = '/usr/sbin/veritysetup';
const HOW = 'run npm test as root once, or install';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const at = (name: string): string => path.join(folder, name);

async function build(...options: string[]) {
  const args = ['image', 'build', '--verity', '--out', 'disk', '--json', ...options];
  const ran = await bootseal(args, folder);
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout);
}

/** Says whether veritysetup finds every block right. */
function verifies(data: string, hashes: string, rootHash: string, ...options: string[]): boolean {
  const { status, error } = spawnSync(VERITYSETUP, ['verify', data, hashes, rootHash, ...options], { cwd: folder });
  if (error !== undefined) throw error;
  return status === 0;
}

function flip(name: string, place: number): void {
  const file = fs.openSync(at(name), 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(file, byte, 0, 1, place);
  fs.writeSync(file, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, place);
  fs.closeSync(file);
}

function cut(from: string, { offset, bytes }: { offset: number; bytes: number }, name: string): void {
  fs.writeFileSync(at(name), fs.readFileSync(at(from)).subarray(offset, offset + bytes));
}

describeWith(
  { name: 'veritysetup', files: [VERITYSETUP], how: `${HOW} cryptsetup-bin` },
  'veritysetup and the disks of image build --verity',
  () => {
    it.each([1, 4097, 128 * 4096, 128 * 4096 + 1, 300 * 4096, 9_000_001])(
      'agree in every byte of %i bytes',
      async (size) => {
        fs.writeFileSync(at('raw'), noise(size));
        const { verity, imageBytes } = await build('--from', 'raw');
        const offset = `--hash-offset=${verity.hashOffset}`;
        expect(verifies('disk', 'disk', verity.rootHash, offset)).toBe(true);
        cut('disk', { offset: 0, bytes: verity.hashOffset }, 'data');
        cut('disk', { offset: verity.hashOffset, bytes: imageBytes - verity.hashOffset }, 'hashes');
        const args = ['format', 'data', 'theirs', '--salt', verity.salt, '--uuid', verity.uuid];
        expect(tool(VERITYSETUP, args, folder)).toContain(verity.rootHash);
        tool('/usr/bin/cmp', ['hashes', 'theirs'], folder);
      },
    );

    it('find what the host changes: data, each level of the tree, the salt, the number of blocks', async () => {
      fs.writeFileSync(at('raw'), noise(300 * 4096));
      const { verity } = await build('--from', 'raw');
      const { hashOffset, rootHash } = verity;
      const offset = `--hash-offset=${hashOffset}`;
      const places = [0, 299 * 4096 + 4095, hashOffset + 4096, hashOffset + 8192, hashOffset + 88, hashOffset + 72];
      for (const place of places) {
        flip('disk', place);
        expect(verifies('disk', 'disk', rootHash, offset), `byte ${place}`).toBe(false);
        flip('disk', place);
      }
      expect(verifies('disk', 'disk', rootHash, offset)).toBe(true);
      const other = await build('--from', 'raw', '--force');
      expect(verifies('disk', 'disk', rootHash, `--hash-offset=${other.verity.hashOffset}`)).toBe(false);
    });
  },
);

describeWith(
  { name: 'sfdisk', files: ['/usr/sbin/sfdisk', '/usr/sbin/sgdisk', VERITYSETUP], how: `${HOW} fdisk and gdisk` },
  'sfdisk and the partitions of image build --verity',
  () => {
    it('have the halves of the root hash as UUIDs, and veritysetup opens them', async () => {
      fs.writeFileSync(at('raw'), noise(300 * 4096 + 1));
      const { verity, partitionTable } = await build('--from', 'raw', '--shape', 'gpt');
      const { rootHash } = verity;
      const { partitiontable } = JSON.parse(tool('/usr/sbin/sfdisk', ['--json', 'disk'], folder));
      const plain = partitiontable.partitions.map(({ uuid }: { uuid: string }) =>
        uuid.replaceAll('-', '').toLowerCase(),
      );
      expect(plain).toEqual([rootHash.slice(0, 32), rootHash.slice(32)]);
      expect(tool('/usr/sbin/sgdisk', ['-v', 'disk'], folder)).toContain('No problems found');
      for (const [i, type, attributes] of [
        [1, 'Linux x86-64 root (/)', '1000000000000000'],
        [2, 'Linux x86-64 root verity', '1000000000000000'],
      ]) {
        const said = tool('/usr/sbin/sgdisk', ['-i', `${i}`, 'disk'], folder);
        expect(said).toContain(type);
        expect(said).toContain(`Attribute flags: ${attributes}`);
      }
      cut('disk', partitionTable.partitions[0], 'data');
      cut('disk', partitionTable.partitions[1], 'hashes');
      expect(verifies('data', 'hashes', rootHash)).toBe(true);
      flip('data', 5000);
      expect(verifies('data', 'hashes', rootHash)).toBe(false);
    });
  },
);

describeWith(
  { name: 'e2fsprogs', files: ['/usr/sbin/mke2fs', '/usr/sbin/e2fsck', VERITYSETUP], how: `${HOW} e2fsprogs` },
  'image build --verity of files',
  () => {
    it('holds a clean file system, from a folder and from an archive on standard input', async () => {
      fs.mkdirSync(at('tree/etc'), { recursive: true });
      fs.writeFileSync(at('tree/etc/motd'), 'hello');
      tool('/usr/bin/tar', ['-cf', 'tree.tar', '-C', 'tree', '.'], folder);
      const archive = async function* () {
        yield fs.readFileSync(at('tree.tar'));
      };
      const args = ['image', 'build', '--verity', '--out', 'piped', '--json', '--from', '-'];
      const piped = await bootseal(args, folder, { stdin: archive() });
      expect(piped.status, piped.stderr).toBe(0);
      const made = { disk: await build('--from', 'tree', '--owner', 'root'), piped: JSON.parse(piped.stdout) };
      for (const [disk, { verity }] of Object.entries(made)) {
        expect(verifies(disk, disk, verity.rootHash, `--hash-offset=${verity.hashOffset}`)).toBe(true);
        cut(disk, { offset: 0, bytes: verity.hashOffset }, 'fs');
        tool('/usr/sbin/e2fsck', ['-f', '-n', 'fs'], folder);
        expect(tool('/usr/sbin/debugfs', ['-R', 'cat /etc/motd', 'fs'], folder)).toContain('hello');
      }
    });
  },
);

describeWith(
  {
    name: 'erofs-utils',
    files: ['/usr/bin/mkfs.erofs', '/usr/bin/fsck.erofs', VERITYSETUP],
    how: `${HOW} erofs-utils`,
  },
  'image build --verity --filesystem erofs',
  () => {
    it('holds a sound EROFS', async () => {
      fs.mkdirSync(at('tree'));
      fs.writeFileSync(at('tree/motd'), 'hello');
      const { verity, payload } = await build('--from', 'tree', '--owner', 'root', '--filesystem', 'erofs');
      expect(payload.what).toBe('EROFS with blocks of 4096 bytes');
      expect(verifies('disk', 'disk', verity.rootHash, `--hash-offset=${verity.hashOffset}`)).toBe(true);
      cut('disk', { offset: 0, bytes: verity.hashOffset }, 'fs');
      tool('/usr/bin/fsck.erofs', ['fs'], folder);
    });
  },
);
