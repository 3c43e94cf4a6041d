import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ESP_TYPE, ROOT_TYPES } from '../../src/core/disk/partition-types.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST_DEADLINE, runScript, USE_OPENED } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';

const MIB = 1 << 20;
const KNOWN = randomBytes(MIB + 17);
const WRITTEN = randomBytes(MIB + 5);
const LOADER = randomBytes(70_001);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Disks that one guest uses; keys that open each are in files of these names. */
const DISKS = [
  { name: 'plain', options: ['--esp', 'esp', '--esp-size', '40M'] },
  { name: 'tagged', options: ['--integrity', 'hmac'] },
] as const;

/** Each line of the report but the last of a disk is a step that failed. */
const SCRIPT = `${USE_OPENED}# The partition of a disk that has this type.
typed() {
  for number in /sys/block/\${1#/dev/}/*/partition; do
    [ -e "$number" ] || continue
    partition=\${number%/partition}; partition=/dev/\${partition##*/}
    [ "$(blkid -p -o value -s PART_ENTRY_TYPE "$partition")" = "$2" ] && echo "$partition"
  done
}
use() {
  root=$(typed "$(disk "$1")" ${ROOT_TYPES['x86-64'].root})
  [ -b "$root" ] || { echo "$1: no root"; return; }
  [ "$(blkid -o device -t PARTUUID="$2")" = "$root" ] || echo "$1: another partition has the PARTUUID"
  [ "$(blkid -o value -s TYPE "$root")" = crypto_LUKS ] || echo "$1: the root is no LUKS"
  cryptsetup open --key-file /keys/disk "$root" first || { echo "$1: not opened"; return; }
  cryptsetup close first
  cryptsetup open --key-file /keys/added "$root" "$1" || { echo "$1: not opened with the added key"; return; }
  use_opened "$1"
}
esp() {
  mount -t vfat -o ro "$(typed "$(disk "$1")" ${ESP_TYPE})" /mnt || { echo "$1: no EFI system partition"; return; }
  sha256sum < /mnt/EFI/BOOT/BOOTX64.EFI
  umount /mnt
}
`;

let folder: string;
let remove: () => void;
const at = (name: string): string => path.join(folder, name);

async function command(...args: string[]): Promise<string> {
  const ran = await bootseal(args, folder);
  expect(ran.status, ran.stderr).toBe(0);
  return ran.stdout;
}

/** Makes a disk, and gives it another key where it is; returns the PARTUUID of its root. */
async function makeDisk({ name, options }: (typeof DISKS)[number]): Promise<string> {
  const args = ['--from', 'raw', '--key-file', 'disk.key', '--out', name, '--shape', 'gpt', '--json'];
  const manifest = JSON.parse(await command('image', 'build', ...args, ...options));
  await command('image', 'add-key', name, '--key-file', 'disk.key', '--new-key-file', 'added.key');
  return manifest.partitionTable.partitions.at(-1).guid;
}

describeWith(GUEST, 'a real kernel with a GPT disk whose keys were changed', () => {
  let report: string[];

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    fs.mkdirSync(at('files'));
    fs.writeFileSync(at('files/known'), KNOWN);
    fs.mkdirSync(at('esp/EFI/BOOT'), { recursive: true });
    fs.writeFileSync(at('esp/EFI/BOOT/BOOTX64.EFI'), LOADER);
    for (const key of ['disk', 'added']) fs.writeFileSync(at(`${key}.key`), randomBytes(32).toString('base64'));
    execFileSync('/usr/sbin/mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', '-d', at('files'), at('raw'), '16M']);
    let uses = '';
    for (const disk of DISKS) uses += `use ${disk.name} ${await makeDisk(disk)}\n`;
    const keys = ['disk', 'added'].map((key) => [`keys/${key}`, fs.readFileSync(at(`${key}.key`))] as const);
    report = await runScript(folder, {
      script: `${SCRIPT}${uses}esp plain\n`,
      files: { known: KNOWN, written: WRITTEN, ...Object.fromEntries(keys) },
      disks: DISKS.map(({ name }) => ({ file: at(name), serial: name })),
      programs: ['usr/sbin/blkid'],
      modules: ['vfat', 'nls_cp437', 'nls_ascii', 'nls_iso8859_1'],
    });
  }, GUEST_DEADLINE + 60_000);
  afterAll(() => remove());

  it('finds the partitions by their types and by PARTUUID, opens, mounts, writes and closes', () => {
    expect(report.slice(0, -1)).toEqual(DISKS.map(({ name }) => `${name}: done`));
    expect(report.at(-1)).toBe(`${sha256(LOADER)}  -`);
  });

  it.each(DISKS)('leaves an image that verifies, with what was written in it: $name', async ({ name }) => {
    for (const key of ['disk.key', 'added.key']) {
      const verified = await command('image', 'verify', name, '--key-file', key, '--json');
      expect(JSON.parse(verified).problems).toEqual([]);
    }
    await command('image', 'extract', name, '--key-file', 'added.key', '--out', `${name}.after`);
    execFileSync('/usr/sbin/e2fsck', ['-fn', at(`${name}.after`)]);
    execFileSync('/usr/sbin/debugfs', ['-R', `dump /written ${at('back')}`, at(`${name}.after`)], { stdio: 'pipe' });
    expect(sha256(fs.readFileSync(at('back')))).toBe(sha256(WRITTEN));
  });
});
