/** @module What may happen to a guest that unlocks its disk: the disk, the command line and the secrets of each case. */
import { createHash } from 'node:crypto';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { buildSecretTable, TableHead } from '../../src/core/secret/table.ts';

/** Where the tests put the secret area: a small one, since emulation takes long to erase it word by word. */
export const AREA = { base: 0x10000000, size: 0x100 };
/** A secret that is none of the disk's. */
export const OTHER = { guid: 'e6f5a162-d67f-4750-a67c-5d065f2a9910', value: Buffer.from('for a service') };

/** What a case needs to know of the disks that were made for the test. */
export interface Made {
  readonly key: Buffer;
  /** The word of the command line that pins the header of each disk. */
  readonly pin: Readonly<Record<'root' | 'null' | 'tags', string>>;
}

/** One case. */
export interface UnlockCase {
  readonly name: string;
  /** Serial number of the disk. */
  readonly disk: 'root' | 'null' | 'tags' | 'missing';
  readonly words: readonly string[];
  readonly area: Buffer;
  /** What is said; null when the disk opens. */
  readonly says: RegExp | null;
  /** What is said although the disk opens: with a passphrase, after all secrets were erased. */
  readonly notes?: RegExp;
  /** What is typed at the console. */
  readonly typed?: Buffer;
  /** Whether it is tried in both shells. */
  readonly both?: true;
  /** Shell in the place of a program, for what happens while that runs; $device is the disk. */
  readonly instead?: Readonly<Partial<Record<'cryptsetup', string>>>;
  /** Whether nothing can be written to the console. */
  readonly mute?: true;
}

/** Returns a secret area with these secrets. */
function area(...secrets: readonly (readonly [guid: string, value: Buffer, form?: 'raw' | 'nul'])[]): Buffer {
  const table = buildSecretTable(
    secrets.map(([guid, value, form = 'raw']) => ({ guid, value, form })),
    { room: AREA.size },
  );
  return filled(table);
}

const filled = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(AREA.size - bytes.length)]);

/** Returns all cases. */
export function unlockCases({ key, pin }: Made): readonly UnlockCase[] {
  const where = `bootseal.secret=0x${AREA.base.toString(16)},0x${AREA.size.toString(16)}`;
  const right = [where, pin.root];
  const disk = [DISK_PASSPHRASE, key] as const;
  const other = [OTHER.guid, OTHER.value] as const;
  const good = area(disk, other);
  const header = TableHead.size;
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes.writeUInt32LE(value, at);
    return bytes;
  };
  const root = { disk: 'root', words: right, area: good, says: null } as const;
  return [
    { ...root, name: 'opens', both: true },
    { ...root, name: 'nul', area: area([DISK_PASSPHRASE, key, 'nul'], other) },
    { ...root, name: 'integrity', disk: 'tags', words: [where, pin.tags] },
    {
      ...root,
      name: 'changed-after-check',
      both: true,
      // ash of busybox has sha256sum built in, and looks for cryptsetup only.
      instead: { cryptsetup: 'cat /null-header > "$device"; exec /usr/sbin/cryptsetup "$@"' },
    },
    {
      ...root,
      name: 'prompt',
      both: true,
      area: area(other),
      words: [...right, 'bootseal.on-failure=prompt'],
      typed: key,
      notes: /^the secret table has no entry 736869e5-[^;]*;$/,
    },
    {
      ...root,
      name: 'ended-while-opening',
      both: true,
      instead: { cryptsetup: '/usr/sbin/cryptsetup "$@"; status=$?; [ $1 = open ] && kill $PPID; exit $status' },
      says: /interrupted/,
    },
    { ...root, name: 'mute', both: true, words: [where], mute: true, says: /^$/ },
    {
      ...root,
      name: 'key-of-dashes',
      words: [...right, `bootseal.key=1${'-'.repeat(35)}`],
      says: /bootseal\.key=1-+ is no GUID in lower case/,
    },
    { ...root, name: 'no-pin', words: [where], says: /bootseal\.header is not on the command line/ },
    { ...root, name: 'null-cipher', disk: 'null', says: /header of .* is not the owner's/ },
    {
      ...root,
      name: 'null-pinned',
      disk: 'null',
      words: [where, pin.null],
      says: /is not encrypted: its header says cipher_null/,
    },
    { ...root, name: 'other-disk', disk: 'tags', says: /header of .* is not the owner's/ },
    { ...root, name: 'no-disk', disk: 'missing', words: [...right, 'bootseal.wait=1'], says: /there is no disk/ },
    {
      ...root,
      name: 'wrong-key',
      both: true,
      area: area([DISK_PASSPHRASE, Buffer.alloc(32, 0x41)]),
      says: /does not open/,
    },
    { ...root, name: 'no-entry', area: area(other), says: /the secret table has no entry 736869e5-/ },
    {
      ...root,
      name: 'bad-entry',
      area: changed(header + 16, 0xffffffff),
      says: /malformed .* entry at byte 20/,
    },
    { ...root, name: 'not-reserved', words: ['bootseal.secret=0x1000000,0xc00', pin.root], says: /not Reserved/ },
  ];
}

/** Returns the word that pins a header. */
export function pinOf(header: Buffer): string {
  return `bootseal.header=${createHash('sha256').update(header).digest('hex')},${header.length}`;
}
