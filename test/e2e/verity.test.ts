import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { VerityManifest } from '../../src/core/disk/verity-manifest.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST_DEADLINE, runScript } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';

const MIB = 1 << 20;
const KNOWN = randomBytes(2 * MIB + 17);
const OTHER = randomBytes(5000);

/** A bit that the host flips in the content of the large file. */
const FLIPPED_AT = MIB + 1234;

/**
 * Opens a disk as the measured command line says, and reads it. The root hash comes from nowhere else, in the GPT the partitions too. Each line
 * of the report but the last of a disk is a step that failed.
 */
const SCRIPT = `
word() { for word in $(cat /proc/cmdline); do case $word in "$1="*) echo "\${word#*=}" ;; esac; done; }
uuid() { echo "$1" | sed 's/^\\(.\\{8\\}\\)\\(.\\{4\\}\\)\\(.\\{4\\}\\)\\(.\\{4\\}\\)/\\1-\\2-\\3-\\4-/'; }
part() {
  for number in 1 2; do
    [ "$(blkid -p -s PART_ENTRY_UUID -o value "$1$number")" = "$2" ] && echo "$1$number"
  done
}
open_bare() {
  device=$(disk "$1")
  veritysetup open "$device" "$1" "$device" "$2" "--$(word systemd.verity_root_options)"
}
open_gpt() {
  device=$(disk "$1")
  veritysetup open "$(part "$device" "$(uuid "$(echo "$2" | cut -c 1-32)")")" "$1" "$(part "$device" "$(uuid "$(echo "$2" | cut -c 33-64)")")" "$2"
}
use() {
  "open_$2" "$1" "$4" || { echo "$1: not opened"; return; }
  mount -t "$3" -o ro "/dev/mapper/$1" /mnt || { echo "$1: not mounted"; return; }
  [ "$(sha256sum < /mnt/other)" = "$(sha256sum < /other)" ] || echo "$1: a file is not what it was"
  if [ "$5" = flipped ]; then
    sha256sum /mnt/known 2>/run/refused >&2 && echo "$1: a changed file was read"
    grep -q 'Input/output error' /run/refused || echo "$1: no input/output error"
  else
    [ "$(sha256sum < /mnt/known)" = "$(sha256sum < /known)" ] || echo "$1: a large file is not what it was"
    [ "$(blockdev --getro "/dev/mapper/$1")" = 1 ] || echo "$1: it can be written to"
  fi
  umount /mnt || echo "$1: not unmounted"
  veritysetup close "$1" || echo "$1: not closed"
  echo "$1: done"
}
refuse() {
  # The kernel reads nothing under another root hash; where it lets the device be opened, nothing can be mounted from it.
  if "open_$2" "$1" "$4" && mount -t "$3" -o ro "/dev/mapper/$1" /mnt; then echo "$1: mounted under another root hash"; fi
  echo "$1: refused"
}
use bare bare ext4 "$(word bare.roothash)"
use gpt gpt erofs "$(word roothash)"
use bare-flipped bare ext4 "$(word bare.roothash)" flipped
use gpt-flipped gpt erofs "$(word roothash)" flipped
refuse older bare ext4 "$(word bare.roothash)"
`;

let folder: string;
let remove: () => void;
const at = (name: string): string => path.join(folder, name);

async function build(name: string, ...options: string[]): Promise<VerityManifest> {
  const ran = await bootseal(['image', 'build', '--verity', '--out', name, '--json', ...options], folder);
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout);
}

/** Writes a copy of a disk of which one bit is changed; returns the number of its block among the data. */
function flip(name: string, { verity }: VerityManifest): number {
  const image = fs.readFileSync(at(name));
  const place = image.indexOf(KNOWN.subarray(FLIPPED_AT, FLIPPED_AT + 64));
  image[place] = (image[place] ?? 0) ^ 1;
  fs.writeFileSync(at(`${name}-flipped`), image);
  fs.copyFileSync(at(`${name}.json`), at(`${name}-flipped.json`));
  return Math.floor((place - verity.dataOffset) / 4096);
}

const NEEDED = { ...GUEST, files: [...GUEST.files, '/usr/sbin/mke2fs', '/usr/bin/mkfs.erofs'] };

describeWith(NEEDED, 'a real kernel with the disks that image build --verity makes', () => {
  let report: string[];
  const flipped: Record<string, number> = {};

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    fs.mkdirSync(at('files'));
    fs.writeFileSync(at('files/known'), KNOWN);
    fs.writeFileSync(at('files/other'), OTHER);
    execFileSync('/usr/sbin/mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', '-d', at('files'), at('raw'), '16M']);
    const bare = await build('bare', '--from', 'raw');
    const gpt = await build('gpt', '--from', 'files', '--filesystem', 'erofs', '--owner', 'root', '--shape', 'gpt');
    await build('older', '--from', 'raw');
    flipped['bare'] = flip('bare', bare);
    flipped['gpt'] = flip('gpt', gpt);
    const disks = ['bare', 'gpt', 'bare-flipped', 'gpt-flipped', 'older'];
    report = await runScript(folder, {
      script: SCRIPT,
      files: { known: KNOWN, other: OTHER },
      disks: disks.map((name) => ({ file: at(name), serial: name })),
      programs: ['sbin/veritysetup', 'sbin/blkid'],
      modules: ['dm_verity', 'erofs'],
      cmdline: `${gpt.cmdline} bare.${bare.cmdline}`,
    });
  }, GUEST_DEADLINE + 60_000);
  afterAll(() => remove());

  it('opens them by the root hash of the command line alone, reads them, and cannot write', () => {
    expect(report.slice(0, 2)).toEqual(['bare: done', 'gpt: done']);
  });

  it('answers a flipped bit with an error of input and output, reads the rest, and image verify names the block', async () => {
    expect(report.slice(2, 4)).toEqual(['bare-flipped: done', 'gpt-flipped: done']);
    for (const name of ['bare', 'gpt']) {
      const { status, stdout } = await bootseal(['image', 'verify', `${name}-flipped`], folder);
      expect(status).toBe(1);
      expect(stdout).toContain(`problem: block ${flipped[name]} of the data does not match\n`);
      expect(await bootseal(['image', 'verify', name], folder)).toMatchObject({ status: 0 });
    }
  });

  it('reads nothing of another disk of the same files: an older one has another root hash', () => {
    const failed = 'mount: mounting /dev/mapper/older on /mnt failed: Input/output error';
    expect(report.slice(4)).toEqual([failed, 'older: refused']);
  });
});
