import { describe, expect, it } from 'vitest';
import { encodeEntry, entryCount } from '../../../src/core/disk/fat-directory.ts';
import { fatNames } from '../../../src/core/disk/fat-names.ts';
import { type FatNode, planFat32 } from '../../../src/core/disk/fat32.ts';
import { imageOf } from '../../disk-bytes.ts';

const MIB = 1 << 20;
const shorts = (...names: string[]) => fatNames(names).map(({ short }) => Buffer.from(short).toString('latin1'));

describe('fatNames', () => {
  it('keeps what is short already', () => {
    expect(fatNames(['BOOTX64.EFI'])).toEqual([
      { short: Uint8Array.from(Buffer.from('BOOTX64 EFI')), long: undefined },
    ]);
    expect(shorts('EFI', 'A.B', 'A_B-C~1.EFI')).toEqual(['EFI        ', 'A       B  ', 'A_B-C~1 EFI']);
  });

  it('adds a long name where case or letters would be lost', () => {
    const [name] = fatNames(['boot.efi']);
    expect(name).toEqual({ short: Uint8Array.from(Buffer.from('BOOT    EFI')), long: [...Buffer.from('boot.efi')] });
    expect(fatNames(['ü'])[0]?.long).toEqual([0xfc]);
  });

  it.each([
    [
      ['loader.conf', 'loader.config'],
      ['LOADER~1CON', 'LOADER~2CON'],
    ],
    [
      ['verylongname', 'verylo~1'],
      ['VERYLO~2   ', 'VERYLO~1   '],
    ],
    [['.hidden'], ['HIDDEN~1   ']],
    [['a.b.c'], ['AB~1    C  ']],
    [['a b.txt'], ['AB~1    TXT']],
    [['ü.efi'], ['_~1     EFI']],
    [['漢字+'], ['___~1      ']],
    [['toolong99'], ['TOOLON~1   ']],
  ])('makes short names of %o', (names, expected) => {
    expect(shorts(...names)).toEqual(expected);
  });

  it('counts beyond 9', () => {
    const names = Array.from({ length: 12 }, (_, i) => `a long name ${i}`);
    expect(shorts(...names).slice(8)).toEqual(['ALONGN~9   ', 'ALONG~10   ', 'ALONG~11   ', 'ALONG~12   ']);
  });

  it.each([
    '',
    'a/b',
    'a:b',
    'a?',
    'a*',
    '"',
    '<',
    '>',
    '|',
    '\\',
    'a\n',
    '\x00',
    '\x1f',
    '\x7f',
    '\x85',
    'dot.',
    'blank ',
    '.',
    '..',
  ])('refuses %j', (name) => {
    expect(() => fatNames([name])).toThrow('FAT cannot hold the name');
  });

  it('refuses a name of 256 letters and takes one of 255', () => {
    expect(() => fatNames(['x'.repeat(256)])).toThrow('at most 255 letters');
    expect(fatNames(['x'.repeat(255)])[0]?.long).toHaveLength(255);
  });

  it('refuses two names that differ only in case', () => {
    expect(() => fatNames(['EFI', 'efi'])).toThrow('FAT knows no case, and "efi" is there twice');
    expect(() => fatNames(['Ärger', 'ärger'])).toThrow('twice');
  });
});

describe('encodeEntry', () => {
  const [name] = fatNames(['abcdefghijklmn']);
  if (name === undefined) throw new Error('no name');

  it('puts a long name before it, the last part first', () => {
    const bytes = encodeEntry({ name, attributes: 0x20, cluster: 0x12345, size: 7 });
    expect(entryCount(name)).toBe(3);
    expect(bytes).toHaveLength(96);
    expect([bytes[0], bytes[32]]).toEqual([0x42, 0x01]);
    expect([bytes[11], bytes[43], bytes[64 + 11]]).toEqual([0x0f, 0x0f, 0x20]);
    // The 14th letter, the zero behind it, then ones.
    expect([...bytes.subarray(1, 7)]).toEqual([0x6e, 0, 0, 0, 0xff, 0xff]);
    expect([...bytes.subarray(28, 32)]).toEqual([0xff, 0xff, 0xff, 0xff]);
    expect(Buffer.from(bytes.subarray(33, 43)).toString('utf16le')).toBe('abcde');
    expect(Buffer.from(bytes.subarray(46, 58)).toString('utf16le')).toBe('fghijk');
    expect(Buffer.from(bytes.subarray(60, 64)).toString('utf16le')).toBe('lm');
    expect(bytes[13]).toBe(bytes[45]);
    expect(Buffer.from(bytes.subarray(64, 75)).toString('latin1')).toBe('ABCDEF~1   ');
    const view = new DataView(bytes.buffer, 64);
    expect([view.getUint16(20, true), view.getUint16(26, true), view.getUint32(28, true)]).toEqual([1, 0x2345, 7]);
    expect([view.getUint16(16, true), view.getUint16(18, true), view.getUint16(24, true)]).toEqual([0x21, 0x21, 0x21]);
  });

  it('has the checksum of the short name in every part', () => {
    const bytes = encodeEntry({ name, attributes: 0x20, cluster: 0, size: 0 });
    let sum = 0;
    for (const byte of bytes.subarray(64, 75)) sum = (((sum & 1) << 7) + (sum >> 1) + byte) % 256;
    expect([bytes[13], bytes[45]]).toEqual([sum, sum]);
  });

  it('needs no zero behind a name that fills its entries', () => {
    const [full] = fatNames(['abcdefghijklm']);
    if (full === undefined) throw new Error('no name');
    const bytes = encodeEntry({ name: full, attributes: 0x20, cluster: 0, size: 0 });
    expect(bytes).toHaveLength(64);
    expect([...bytes.subarray(28, 32)]).toEqual([0x6c, 0, 0x6d, 0]);
  });
});

const file = (name: string, size: number): FatNode => ({ kind: 'file', name, size, source: `${name[0]}/${name}` });
const folder = (name: string, ...entries: FatNode[]): FatNode => ({ kind: 'folder', name, entries });
const OPTIONS = { size: 34 * MIB, at: MIB, volumeId: 0x12345678 };

describe('planFat32', () => {
  it('plans one run of clusters for each file and folder', () => {
    const extents = planFat32([folder('EFI', file('X', 1025)), file('Y', 512), file('EMPTY', 0)], OPTIONS);
    const fatSectors = 536;
    const area = (32 + 2 * fatSectors) * 512;
    expect(extents.map(({ kind, at }) => [kind, at])).toEqual([
      ['bytes', area + 512],
      ['file', area + 1024],
      ['file', area + 2560],
      ['bytes', area],
      ['bytes', 32 * 512],
      ['bytes', (32 + fatSectors) * 512],
      ['bytes', 0],
    ]);
    const image = imageOf(
      OPTIONS.size,
      extents.map((extent) => ({ ...extent, file: 'image' as const })),
    );
    const view = new DataView(image.buffer);
    const chain = Array.from({ length: 8 }, (_, i) => view.getUint32(32 * 512 + 4 * i, true));
    const END = 0x0fffffff;
    expect(chain).toEqual([0x0ffffff8, END, END, END, 5, 6, END, END]);
    expect([view.getUint32(36, true), view.getUint32(32, true), view.getUint32(28, true)]).toEqual([
      fatSectors,
      OPTIONS.size / 512,
      2048,
    ]);
    expect(view.getUint32(67, true)).toBe(0x12345678);
    // FSInfo: what is free, and where to look first.
    const clusters = (OPTIONS.size - area) / 512;
    expect([view.getUint32(512 + 488, true), view.getUint32(512 + 492, true)]).toEqual([clusters - 6, 8]);
    expect(image.subarray(6 * 512, 8 * 512)).toEqual(image.subarray(0, 1024));
    // `.` is the folder itself, `..` of a folder in the root is 0.
    expect([view.getUint16(area + 512 + 26, true), view.getUint16(area + 512 + 32 + 26, true)]).toEqual([3, 0]);
    expect(Buffer.from(image.subarray(area, area + 11)).toString()).toBe('ESP        ');
    expect(image[area + 11]).toBe(8);
  });

  it('takes larger clusters for larger file systems', () => {
    const perCluster = (size: number) => {
      const boot = planFat32([], { ...OPTIONS, size }).at(-1);
      return boot?.kind === 'bytes' ? boot.bytes[13] : undefined;
    };
    const gib = 2 ** 30;
    expect([260 * MIB, 261 * MIB, 8 * gib, 9 * gib, 17 * gib, 33 * gib].map(perCluster)).toEqual([1, 8, 8, 16, 32, 64]);
  });

  it('refuses what FAT32 cannot be', () => {
    const size = (bytes: number) => () => planFat32([], { ...OPTIONS, size: bytes });
    expect(size(32 * MIB)).toThrow('an EFI system partition of 33554432 bytes is not possible');
    expect(size(0)).toThrow('is not possible');
    expect(size(2 ** 42)).toThrow('is not possible');
    expect(size(33 * MIB)).not.toThrow();
  });

  it('refuses files that do not fit, to the last cluster', () => {
    const clusters = 34 * 2048 - 32 - 2 * 536;
    const plan = (size: number) => () => planFat32([file('X', size)], OPTIONS);
    expect(plan((clusters - 1) * 512)).not.toThrow();
    expect(plan((clusters - 1) * 512 + 1)).toThrow(
      'the files do not fit into an EFI system partition of 35651584 bytes',
    );
    expect(plan(2 ** 32)).toThrow('is too large: FAT has files of less than 4 GiB');
  });

  it('refuses a folder with too many entries', () => {
    const many = (count: number) => [folder('EFI', ...Array.from({ length: count }, (_, i) => file(`F${i}`, 0)))];
    expect(() => planFat32(many(65534), OPTIONS)).not.toThrow();
    expect(() => planFat32(many(65535), OPTIONS)).toThrow('more entries than a directory of FAT holds');
  });

  it('names the parent of a folder in a folder', () => {
    const extents = planFat32([folder('A', folder('B', folder('C')))], OPTIONS);
    const parents = extents.flatMap((extent) =>
      extent.kind === 'bytes' && extent.bytes[0] === 0x2e ? [[extent.bytes[26], extent.bytes[32 + 26]]] : [],
    );
    expect(parents).toEqual([
      [3, 0],
      [4, 3],
      [5, 4],
    ]);
  });
});
