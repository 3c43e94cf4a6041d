/** @module What the lab's guests of tests are made of: Debian's OVMF of the AmdSev kind, and a small initrd that shows the secret area. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';
import { writeInitrd } from './initrd.ts';

export const AMDSEV = 'debian-ovmf/OVMF.amdsev_2026.08.fd';
/** A generic build: it advertises a hash area and checks nothing. */
export const GENERIC = 'debian-ovmf/OVMF_2026.08.fd';
/** Where AMDSEV's footer has them. */
export const SECRET_AREA = 0x810000;
export const ACCEPT = ['--accept-firmware', 'enforcing-some-unverified'] as const;

/**
 * Has the tests of a suite start in a folder with firmware `fw` and an empty `tmp`, and remove it. Returns how names in it are found;
 * `.` is the folder.
 */
export function useLabFolder(): (name: string) => string {
  let place: ReturnType<typeof scratch>;
  const at = (name: string) => path.join(place.folder, name);
  beforeAll(() => {
    place = scratch();
    writeFirmware(at('fw'));
    fs.mkdirSync(at('tmp'));
  });
  afterAll(() => place.remove());
  return at;
}

/** Prints the first 96 bytes of the secret area, as 64-bit numbers. */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
echo "GUEST command line: $(/bin/busybox cat /proc/cmdline)"
i=0
while [ $i -lt 12 ]; do
  echo "GUEST memory: $(/bin/busybox devmem $((0x810000 + i * 8)) 64)"
  i=$((i + 1))
done
/bin/busybox poweroff -f
`;

/** Writes such an initrd; \`more\` goes into a file of it. */
export function writeLabInitrd(file: string, more = ''): Promise<void> {
  return writeInitrd(file, { programs: ['bin/busybox'], modules: [], files: { init: INIT, more } });
}

/** Returns the bytes that the guest has shown. */
export function shownMemory(lines: readonly string[]): Buffer {
  return Buffer.concat(
    lines.flatMap((line) => {
      const found = /GUEST memory: (0x[0-9A-F]+)/.exec(line)?.[1];
      if (found === undefined) return [];
      const out = Buffer.alloc(8);
      out.writeBigUInt64LE(BigInt(found));
      return [out];
    }),
  );
}

/** Writes a firmware of the fixtures. */
export function writeFirmware(file: string, name = AMDSEV): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, fixture(name));
}
