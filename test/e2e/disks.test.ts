import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dataPlace } from '../../src/core/luks/integrity/layout.ts';
import { readSuperblock, SUPERBLOCK_SIZE } from '../../src/core/luks/integrity/superblock.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST_DEADLINE, runScript, USE_OPENED } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';

const MIB = 1 << 20;
const KNOWN = randomBytes(3 * MIB + 17);
const WRITTEN = randomBytes(2 * MIB + 5);

/** Disks that one guest uses one after the other. */
const DISKS = [
  { name: 'plain-512', blockSize: 1024, options: ['--sector-size', '512'], detached: false },
  { name: 'plain-4096', blockSize: 4096, options: ['--sector-size', '4096'], detached: false },
  { name: 'hmac-4096', blockSize: 4096, options: ['--integrity', 'hmac', '--sector-size', '4096'], detached: false },
  { name: 'gcm-512', blockSize: 4096, options: ['--integrity', 'gcm', '--sector-size', '512'], detached: false },
  { name: 'detached-4096', blockSize: 4096, options: ['--detached-header', 'detached-4096.hdr'], detached: true },
] as const;

/** A copy of the disk with HMAC tags, of which one bit of a file's content is changed. */
const FLIPPED = 'flipped';

/** Opens, mounts, reads, writes, and leaves everything as it should be left; each line of the report is a step that failed. */
const SCRIPT = `${USE_OPENED}use() {
  device=$(disk "$1")
  cryptsetup open --key-file "/keys/$1" $2 "$device" "$1" || { echo "$1: not opened"; return; }
  use_opened "$1"
}
use_flipped() {
  device=$(disk "$1")
  cryptsetup open --key-file "/keys/$1" "$device" "$1" || { echo "$1: not opened"; return; }
  mount -t ext4 -o ro "/dev/mapper/$1" /mnt || { echo "$1: not mounted"; return; }
  sha256sum /mnt/known 2>/run/refused >&2 && echo "$1: a changed file was read"
  grep -q 'Input/output error' /run/refused || echo "$1: no input/output error"
  umount /mnt
  dd if="/dev/mapper/$1" of=/dev/null bs=4096 count=1 2>/dev/null || echo "$1: a sector that was not changed is not read"
  cryptsetup close "$1" || echo "$1: not closed"
  echo "$1: done"
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

async function makeDisk({ name, blockSize, options }: (typeof DISKS)[number]): Promise<void> {
  fs.mkdirSync(at('files'), { recursive: true });
  fs.writeFileSync(at('files/known'), KNOWN);
  const ext4 = ['-q', '-F', '-t', 'ext4', '-b', `${blockSize}`, '-d', at('files'), at(`${name}.raw`), '24M'];
  execFileSync('/usr/sbin/mke2fs', ext4);
  await command('image', 'build', '--from', `${name}.raw`, '--new-key', `${name}.key`, '--out', name, ...options);
}

/** Writes the copy; returns the place of the changed sector among the data. */
async function makeFlipped(): Promise<number> {
  fs.copyFileSync(at('hmac-4096'), at(FLIPPED));
  fs.copyFileSync(at('hmac-4096.key'), at(`${FLIPPED}.key`));
  const place = fs.readFileSync(at('hmac-4096.raw')).indexOf(KNOWN.subarray(MIB, MIB + 4096));
  const { data } = JSON.parse(fs.readFileSync(at('hmac-4096.json'), 'utf8')) as { data: { offset: number } };
  const image = fs.readFileSync(at(FLIPPED));
  const segment = image.subarray(data.offset);
  const layout = readSuperblock(
    segment.subarray(0, SUPERBLOCK_SIZE),
    { sectorSize: 4096, tagSize: 32 },
    segment.length,
  );
  const flipped = dataPlace(layout, place) + 1234;
  segment[flipped] = (segment[flipped] ?? 0) ^ 1;
  fs.writeFileSync(at(FLIPPED), image);
  return place;
}

describeWith(GUEST, 'a real kernel with the disks that image build makes', () => {
  let report: string[];
  let flippedAt: number;

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    for (const disk of DISKS) await makeDisk(disk);
    flippedAt = await makeFlipped();
    const keys = [...DISKS.map(({ name }) => name), FLIPPED].map(
      (name) => [`keys/${name}`, fs.readFileSync(at(`${name}.key`))] as const,
    );
    const headers = DISKS.filter(({ detached }) => detached).map(
      ({ name }) => [`headers/${name}`, fs.readFileSync(at(`${name}.hdr`))] as const,
    );
    const uses = DISKS.map(({ name, detached }) => `use ${name} "${detached ? `--header /headers/${name}` : ''}"\n`);
    report = await runScript(folder, {
      script: `${SCRIPT}${uses.join('')}use_flipped ${FLIPPED}\n`,
      files: { known: KNOWN, written: WRITTEN, ...Object.fromEntries([...keys, ...headers]) },
      disks: [...DISKS.map(({ name }) => name), FLIPPED].map((name) => ({ file: at(name), serial: name })),
    });
  }, GUEST_DEADLINE + 60_000);
  afterAll(() => remove());

  it('opens, mounts, reads, writes and closes every one', () => {
    expect(report.filter((line) => !line.startsWith(FLIPPED))).toEqual(DISKS.map(({ name }) => `${name}: done`));
  });

  it('answers a changed sector with an error of input and output, and image verify names it', async () => {
    expect(report.filter((line) => line.startsWith(FLIPPED))).toEqual([`${FLIPPED}: done`]);
    const { status, stderr } = await bootseal(['image', 'verify', FLIPPED, '--key-file', `${FLIPPED}.key`], folder);
    expect(status).toBe(1);
    expect(stderr).toContain(
      `sector ${flippedAt / 4096} (4096 bytes at ${flippedAt} of the data) does not match its tag`,
    );
  });

  it.each(DISKS)('leaves an image that verifies, with what was written in it: $name', async ({ name, detached }) => {
    const opening = [name, '--key-file', `${name}.key`, ...(detached ? ['--header', `${name}.hdr`] : [])];
    expect(JSON.parse(await command('image', 'verify', ...opening, '--json')).problems).toEqual([]);
    await command('image', 'extract', ...opening, '--out', `${name}.after`);
    execFileSync('/usr/sbin/e2fsck', ['-fn', at(`${name}.after`)]);
    execFileSync('/usr/sbin/debugfs', ['-R', `dump /written ${at(`${name}.written`)}`, at(`${name}.after`)]);
    expect(sha256(fs.readFileSync(at(`${name}.written`)))).toBe(sha256(WRITTEN));
  });
});

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
