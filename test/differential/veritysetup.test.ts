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

/** Runs a command of image on a disk that veritysetup made or checked. */
async function image(...args: string[]) {
  return bootseal(['image', ...args, '--json'], folder);
}

describeWith(
  { name: 'veritysetup', files: [VERITYSETUP], how: `${HOW} cryptsetup-bin` },
  'image verify and disks of veritysetup',
  () => {
    it.each<[number, string[]]>([
      [1, []],
      [2, ['--salt', '-']],
      [129, []],
      [300, ['--hash', 'sha512']],
      [600, ['--data-block-size', '512', '--hash-block-size', '512']],
      [100, ['--data-block-size', '1024']],
      [300, ['--hash-block-size', '1024', '--salt', '00ff'.repeat(128)]],
      [5, ['--hash-block-size', '512', '--salt', 'aa']],
    ])('agree on %i blocks with %j', async (blocks, options) => {
      const size = blocks * (options[0] === '--data-block-size' ? Number(options[1]) : 4096);
      fs.writeFileSync(at('data'), noise(size));
      fs.copyFileSync(at('data'), at('disk'));
      const offset = `${size}`;
      const args = ['format', 'disk', 'disk', `--hash-offset=${offset}`, `--data-blocks=${blocks}`, ...options];
      const said = tool(VERITYSETUP, args, folder);
      const value = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(said)?.[1] ?? '';
      const rootHash = value('Root hash');
      const known = ['--root-hash', rootHash, '--hash-offset', offset];
      const verified = await image('verify', 'disk', ...known);
      expect(verified).toMatchObject({ status: 0 });
      expect(JSON.parse(verified.stdout)).toMatchObject({ rootHash, dataBytes: size, problems: [] });
      expect(await image('extract', 'disk', '--out', 'out', ...known)).toMatchObject({ status: 0 });
      tool('/usr/bin/cmp', ['data', 'out'], folder);
      // What one finds, the other finds: data, tree, superblock.
      const disk = fs.statSync(at('disk')).size;
      for (const place of [0, size - 1, size + 72, size + 88, disk - 1, disk - 4000]) {
        flip('disk', place);
        const theirs = verifies('disk', 'disk', rootHash, `--hash-offset=${offset}`);
        const ours = await image('verify', 'disk', ...known);
        expect([place, ours.status === 0]).toEqual([place, theirs]);
        flip('disk', place);
      }
    });

    it('refuse what veritysetup makes for others: SHA-1, and the format of Chrome OS', async () => {
      fs.writeFileSync(at('data'), noise(8192));
      for (const [options, message] of [
        [['--hash', 'sha1'], 'the digest is \\"sha1\\"'],
        [['--format', '0'], 'the tree has format 0'],
      ] as const) {
        fs.copyFileSync(at('data'), at('disk'));
        tool(VERITYSETUP, ['format', 'disk', 'disk', '--hash-offset=8192', '--data-blocks=2', ...options], folder);
        const ran = await image('verify', 'disk', '--root-hash', '00'.repeat(32), '--hash-offset', '8192');
        expect(ran).toMatchObject({ status: 3, stderr: expect.stringContaining(message) });
      }
    });

    it.each([['bare'], ['gpt']])('find the same in a disk of image build: %s', async (shape) => {
      fs.writeFileSync(at('raw'), noise(300 * 4096));
      const { verity, partitionTable } = await build('--from', 'raw', ...(shape === 'gpt' ? ['--shape', 'gpt'] : []));
      const { dataOffset, hashOffset, rootHash } = verity;
      expect(await image('verify', 'disk')).toMatchObject({ status: 0 });
      const places = [0, 299 * 4096 + 4095].map((place) => dataOffset + place);
      for (const place of [...places, ...[72, 88, 4096, 8192, 5 * 4096 - 1].map((tree) => hashOffset + tree)]) {
        flip('disk', place);
        const theirs = () => {
          if (partitionTable === null) return verifies('disk', 'disk', rootHash, `--hash-offset=${hashOffset}`);
          cut('disk', partitionTable.partitions[0], 'data');
          cut('disk', partitionTable.partitions[1], 'hashes');
          return verifies('data', 'hashes', rootHash);
        };
        const ours = await image('verify', 'disk');
        expect([place, theirs(), ours.status === 0]).toEqual([place, false, false]);
        // Bad input is no mismatch: more blocks than there is room for.
        expect([1, 3]).toContain(ours.status);
        flip('disk', place);
      }
      expect(await image('verify', 'disk')).toMatchObject({ status: 0 });
    });

    it('find data that the host cut off, which a kernel would not', async () => {
      fs.writeFileSync(at('raw'), noise(300 * 4096));
      const { verity } = await build('--from', 'raw');
      const file = fs.openSync(at('disk'), 'r+');
      fs.writeSync(file, Buffer.of(299 - 256), 0, 1, verity.hashOffset + 72);
      fs.closeSync(file);
      fs.rmSync(at('disk.json'));
      const known = ['--root-hash', verity.rootHash, '--hash-offset', `${verity.hashOffset}`];
      const ran = await image('verify', 'disk', ...known);
      expect(ran).toMatchObject({ status: 1, stdout: expect.stringContaining('data were cut off') });
      expect(verifies('disk', 'disk', verity.rootHash, `--hash-offset=${verity.hashOffset}`)).toBe(false);
      expect(await image('extract', 'disk', '--out', 'out', ...known)).toMatchObject({ status: 1 });
      expect(fs.existsSync(at('out'))).toBe(false);
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
        // The file system says how long it is, so that the tree is found without the manifest.
        fs.rmSync(at(`${disk}.json`));
        const ran = await image('verify', disk, '--root-hash', verity.rootHash);
        expect(JSON.parse(ran.stdout)).toMatchObject({ filesystem: 'ext4', problems: [] });
        expect(JSON.parse((await image('inspect', disk)).stdout)).toMatchObject({ type: 'verity', levels: 3 });
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
