import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { noise, tool } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';
import { CRYPTSETUP } from './cryptsetup-peer.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(at('raw'), noise(1 << 20));
});
afterEach(() => remove());

const at = (name: string): string => path.join(folder, name);
const HOW = 'run npm test as root once, or install';

async function build(...options: string[]) {
  const args = ['image', 'build', '--from', 'raw', '--new-key', 'key', '--out', 'disk', '--shape', 'gpt', '--json'];
  const ran = await bootseal([...args, ...options], folder);
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout);
}

/** Files with names of every kind, in folders of folders, one folder of many clusters. */
function writeEsp(): void {
  const files: [string, number][] = [
    ['EFI/BOOT/BOOTX64.EFI', 3_000_001],
    ['EFI/Linux/debian 12 ünïcode 漢字.efi', 70_000],
    ['loader/loader.conf', 3],
    ['loader/loader.config', 512],
    ['EMPTY', 0],
    ['.hidden.file', 513],
    ['a/b/c/d/e/f', 1],
    ...Array.from({ length: 100 }, (_, i): [string, number] => [`loader/entries/entry number ${i}.conf`, i]),
  ];
  for (const [name, size] of files) {
    fs.mkdirSync(path.dirname(at(`esp/${name}`)), { recursive: true });
    fs.writeFileSync(at(`esp/${name}`), randomBytes(size));
  }
  fs.mkdirSync(at('esp/nothing'));
}

function cut(name: string, { offset, bytes }: { offset: number; bytes: number }): void {
  fs.writeFileSync(at(name), fs.readFileSync(at('disk')).subarray(offset, offset + bytes));
}

describeWith(
  { name: 'sgdisk', files: ['/usr/sbin/sgdisk', '/usr/sbin/sfdisk'], how: `${HOW} gdisk and fdisk` },
  'sgdisk, sfdisk and the tables that image build makes',
  () => {
    it('find no mistake, and what the manifest says', async () => {
      writeEsp();
      const { partitionTable } = await build('--esp', 'esp', '--esp-size', '300M', '--arch', 'arm64');
      expect(tool('/usr/sbin/sgdisk', ['-v', 'disk'], folder)).toContain('No problems found');
      expect(tool('/usr/sbin/sfdisk', ['--verify', 'disk'], folder)).toContain('No errors detected');
      const { partitiontable } = JSON.parse(tool('/usr/sbin/sfdisk', ['--json', 'disk'], folder));
      expect(partitiontable).toMatchObject({
        label: 'gpt',
        id: partitionTable.guid.toUpperCase(),
        partitions: partitionTable.partitions.map(
          (partition: { name: string; type: string; guid: string; offset: number; bytes: number }) => ({
            start: partition.offset / 512,
            size: partition.bytes / 512,
            type: partition.type.toUpperCase(),
            uuid: partition.guid.toUpperCase(),
            name: partition.name,
          }),
        ),
      });
      expect(tool('/usr/sbin/sgdisk', ['-i', '2', 'disk'], folder)).toContain('(Linux ARM64 root (/))');
    });

    it('make tables that are read here', async () => {
      await build();
      const args = ['-n', '1:0:+1M', '-n', '3:0:+8K', '-t', '1:ef00', '-c', '1:boot', '-u', '1:R', 'other'];
      fs.writeFileSync(at('other'), new Uint8Array(8 << 20));
      tool('/usr/sbin/sgdisk', args, folder);
      const ran = await bootseal(['image', 'inspect', 'other'], folder);
      expect(ran.stderr).toContain('no partition of the disk has a LUKS header');
      const asked = await bootseal(['image', 'inspect', 'other', '--partition', '2'], folder);
      expect(asked.stderr).toContain('there are: 1 ("boot"), 3 ("")');
    });
  },
);

describeWith(
  { name: 'fsck.vfat', files: ['/usr/sbin/fsck.vfat', '/usr/bin/mcopy'], how: `${HOW} dosfstools and mtools` },
  'fsck.vfat, mtools and the EFI system partitions that image build makes',
  () => {
    it.each(['35M', '260M', '261M'])('find no mistake and every file in %s', async (size) => {
      writeEsp();
      const { partitionTable } = await build('--esp', 'esp', '--esp-size', size);
      cut('fat', partitionTable.partitions[0]);
      const checked = tool('/usr/sbin/fsck.vfat', ['-n', '-v', 'fat'], folder);
      expect(checked).toContain('32 bit entries');
      expect(checked).not.toMatch(/differ|wrong|dirty|orphan|reclaim|inconsisten/i);
      fs.mkdirSync(at('back'));
      tool('/usr/bin/mcopy', ['-s', '-m', '-i', 'fat', '::*', 'back'], folder);
      tool('/usr/bin/diff', ['-r', 'esp', 'back'], folder);
    });
  },
);

describeWith(CRYPTSETUP, 'cryptsetup and the LUKS partition of a GPT', () => {
  it('opens it', async () => {
    const { partitionTable } = await build();
    cut('luks', partitionTable.partitions[0]);
    tool('/usr/sbin/cryptsetup', ['open', '--test-passphrase', '--key-file', 'key', 'luks'], folder);
  });
});
