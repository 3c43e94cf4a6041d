import { describe, expect, it } from 'vitest';
import {
  CpioHeader,
  encodeMember,
  encodeTrailer,
  FILE_TYPE,
  fill,
  type NewMember,
} from '../../../src/core/archive/cpio.ts';
import { MAX_MEMBERS, type Member, plainName, readCpio, readCpios } from '../../../src/core/archive/read-cpio.ts';
import { diskSource, passZeros, type Source, streamSource, take } from '../../../src/core/archive/source.ts';
import { concat } from '../../../src/core/bytes.ts';
import { failure } from '../../failure.ts';
import { memoryDisk } from '../../luks-image.ts';

const ascii = (text: string) => new Uint8Array(Buffer.from(text));
const file = (name: string, content: string): [NewMember, Uint8Array] => [
  { name, mode: FILE_TYPE.file | 0o644, size: content.length },
  ascii(content),
];

/** An archive of these members. */
function archive(...members: [NewMember, Uint8Array][]): Uint8Array {
  const parts = members.flatMap(([member, data], i) => [
    encodeMember(member, i + 1),
    data,
    new Uint8Array(fill(member.size)),
  ]);
  return concat(...parts, encodeTrailer());
}

async function members(source: Source): Promise<Member[]> {
  const found: Member[] = [];
  for await (const member of readCpios(source)) found.push(member);
  return found;
}

const fromBytes = (bytes: Uint8Array) => diskSource(memoryDisk(bytes), 0);

async function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('a member', () => {
  it('is written as the kernel documents it', () => {
    const bytes = encodeMember({ name: 'a/bc', mode: 0o100640, size: 0x1234 }, 7);
    expect(Buffer.from(bytes).toString('latin1')).toBe(
      `070701${'00000007'}${'000081a0'}${'00000000'}${'00000000'}${'00000001'}${'00000000'}${'00001234'}` +
        `${'00000000'.repeat(4)}${'00000005'}${'00000000'}a/bc\0\0`,
    );
    expect(CpioHeader.size).toBe(110);
  });

  it('of a folder has two links', () => {
    expect(CpioHeader.unpack(encodeMember({ name: 'd', mode: 0o40755, size: 0 }, 1)).links).toBe(2);
    expect(CpioHeader.unpack(encodeMember({ name: 'd', mode: 0o120777, size: 0 }, 1)).links).toBe(1);
  });

  it.each([
    [1, 112],
    [2, 116],
    [3, 116],
    [5, 116],
    [6, 120],
  ])('with a name of %i letters takes %i bytes', (letters, size) => {
    expect(encodeMember({ name: 'x'.repeat(letters), mode: 0o100644, size: 0 }, 1).length).toBe(size);
  });

  it.each<[string, NewMember]>([
    ['no name', { name: '', mode: 0o100644, size: 0 }],
    ['a name of 4096 bytes', { name: 'x'.repeat(4096), mode: 0o100644, size: 0 }],
    ['the name that ends an archive', { name: 'TRAILER!!!', mode: 0o100644, size: 0 }],
    ['a NUL in its name', { name: 'a\0b', mode: 0o100644, size: 0 }],
    ['a target of 4097 bytes', { name: 'a', mode: 0o120777, size: 4097 }],
    ['4 GiB of data', { name: 'a', mode: 0o100644, size: 2 ** 32 }],
    ['half a byte of data', { name: 'a', mode: 0o100644, size: 0.5 }],
    ['less than nothing', { name: 'a', mode: 0o100644, size: -1 }],
  ])('with %s is refused', (_, member) => {
    expect(failure(() => encodeMember(member, 1)).kind).toBe('format');
  });

  it('may have the longest name, the longest target and 4 GiB less one byte', () => {
    expect(encodeMember({ name: 'x'.repeat(4095), mode: 0o100644, size: 2 ** 32 - 1 }, 1).length).toBe(4208);
    expect(encodeMember({ name: 'a', mode: 0o120777, size: 4096 }, 1).length).toBe(112);
    expect(encodeMember({ name: 'a', mode: 0o100644, size: 4097 }, 1).length).toBe(112);
  });
});

describe('readCpio', () => {
  const sample = archive(
    [{ name: 'bin', mode: 0o40755, size: 0 }, ascii('')],
    [{ name: 'bin/sh', mode: 0o120777, size: 7 }, ascii('busybox')],
    file('bin/busybox', 'hello'),
    file('empty', ''),
  );
  const contents: Member[] = [
    { name: 'bin', mode: 0o40755, size: 0, links: 2, target: undefined },
    { name: 'bin/sh', mode: 0o120777, size: 7, links: 1, target: 'busybox' },
    { name: 'bin/busybox', mode: 0o100644, size: 5, links: 1, target: undefined },
    { name: 'empty', mode: 0o100644, size: 0, links: 1, target: undefined },
  ];

  it('reads what was written, from a file and from pieces of any size', async () => {
    expect(await members(fromBytes(sample))).toEqual(contents);
    for (const size of [1, 3, 64, 4096]) expect(await members(streamSource(pieces(sample, size)))).toEqual(contents);
  });

  it('ends behind the trailer', async () => {
    const source = fromBytes(concat(sample, ascii('0707')));
    for await (const _ of readCpio(source));
    expect(source.position).toBe(sample.length);
  });

  it('reads archives one after another with zeros between them', async () => {
    const two = concat(sample, new Uint8Array(512), archive(file('z', 'zz')), new Uint8Array(3));
    expect((await members(fromBytes(two))).map(({ name }) => name)).toEqual([...contents.map(({ name }) => name), 'z']);
    expect((await members(streamSource(pieces(two, 100)))).length).toBe(5);
  });

  it('pads from the start of the archive, not of the file', async () => {
    const source = fromBytes(concat(Uint8Array.of(0, 0), sample));
    await source.skip(2);
    expect((await members(source)).length).toBe(4);
  });

  it('yields a member before its data, which can be taken', async () => {
    const source = fromBytes(sample);
    for await (const { name, size } of readCpio(source)) {
      if (name === 'bin/busybox') expect(Buffer.from(await source.peek(size)).toString()).toBe('hello');
    }
    expect.assertions(1);
  });

  it('reads the form with checksums, and a name that is not UTF-8 letter by letter', async () => {
    const bytes = archive(file('x', 'data'));
    bytes[5] = 0x32;
    bytes[110] = 0xff;
    expect((await members(fromBytes(bytes)))[0]?.name).toBe('\u00ff');
  });

  const broken = (change: (bytes: Uint8Array) => Uint8Array | undefined) => {
    const bytes = new Uint8Array(sample);
    return change(bytes) ?? bytes;
  };
  it.each<[string, Uint8Array, string]>([
    ['another magic', broken((bytes) => void bytes.set([0x31], 4)), 'cpio header.magic: wrong magic number'],
    [
      'the old form',
      broken((bytes) => void bytes.set([0x37], 5)),
      'cpio header.form: neither newc (070701) nor crc (070702)',
    ],
    [
      'a form of zero',
      broken((bytes) => void bytes.set([0x30], 5)),
      'cpio header.form: neither newc (070701) nor crc (070702)',
    ],
    [
      'a number that is none',
      broken((bytes) => void bytes.set([0x20], 20)),
      'cpio header.mode: not eight hexadecimal digits',
    ],
    [
      'no trailer',
      broken((bytes) => bytes.subarray(0, -124)),
      'cpio member 5 at byte 492: the data end at byte 492, inside it',
    ],
    [
      'data cut short',
      broken((bytes) => bytes.subarray(0, 350)),
      'cpio member 3 at byte 244: the data end at byte 350, inside it',
    ],
    [
      'a name cut short',
      broken((bytes) => bytes.subarray(0, 112)),
      'cpio member 1 at byte 0: the data end at byte 112, inside it',
    ],
    [
      'a name without NUL',
      broken((bytes) => void bytes.set([0x78], 113)),
      'cpio member 1 at byte 0: no NUL ends its name',
    ],
    ['no name', broken((bytes) => void bytes.set(ascii('00000000'), 94)), 'cpio member 1 at byte 0: a name of 0 bytes'],
    [
      'a long name',
      broken((bytes) => void bytes.set(ascii('00001001'), 94)),
      'cpio member 1 at byte 0: a name of 4097 bytes',
    ],
    [
      'a long link',
      broken((bytes) => void bytes.set(ascii('00001001'), 116 + 54)),
      'cpio member 2 at byte 116: a link of 4097 bytes',
    ],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(members(fromBytes(bytes))).rejects.toMatchObject({ kind: 'format', message });
    await expect(members(streamSource(pieces(bytes, 50)))).rejects.toMatchObject({ kind: 'format', message });
  });

  it('takes a link and a name of 4096 bytes', async () => {
    const target = 'y'.repeat(4096);
    const long = archive([{ name: 'x'.repeat(4095), mode: 0o120777, size: 4096 }, ascii(target)]);
    expect(await members(fromBytes(long))).toMatchObject([{ target }]);
  });

  it('ends after as many members as no initrd has', async () => {
    const one = encodeMember({ name: 'a', mode: 0o100644, size: 0 }, 1);
    const source = streamSource(
      (async function* () {
        const many = concat(...Array.from({ length: 256 }, () => one));
        for (;;) yield many;
      })(),
    );
    const count = async () => {
      for await (const _ of readCpio(source, 1000));
    };
    await expect(count()).rejects.toThrow('cpio: more than 1000 members');
    expect(source.position).toBe(1001 * one.length);
    expect(MAX_MEMBERS).toBe(262144);
  });
});

describe('plainName', () => {
  it.each([
    ['./bin/sh', 'bin/sh'],
    ['/bin//sh/', 'bin/sh'],
    ['.', ''],
    ['..a/.b', '..a/.b'],
  ])('%s', (name, plain) => {
    expect(plainName(name)).toBe(plain);
  });
});

describe('a source', () => {
  const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
  it.each<[string, () => Source]>([
    ['of a disk', () => fromBytes(bytes)],
    ['of a stream', () => streamSource(pieces(bytes, 1000))],
  ])('%s gives the same bytes in small and large steps', async (_, open) => {
    const source = open();
    expect(await source.peek(5)).toEqual(bytes.subarray(0, 5));
    expect(await take(source, 70_000, 'x')).toEqual(bytes.subarray(0, 70_000));
    expect(await source.skip(5)).toBe(5);
    expect(source.position).toBe(70_005);
    expect(await source.peek(3)).toEqual(bytes.subarray(70_005, 70_008));
    expect(await source.skip(100_000)).toBe(100_000);
    expect(await source.peek(50_000)).toEqual(bytes.subarray(170_005));
    expect(await source.skip(50_000)).toBe(29_995);
    expect(source.position).toBe(200_000);
    expect(await source.peek(1)).toEqual(new Uint8Array(0));
    expect(await source.skip(1)).toBe(0);
    await expect(take(source, 1, 'the rest')).rejects.toThrow('the rest: the data end at byte 200000, inside it');
  });

  it('starts where it is told', async () => {
    const source = diskSource(memoryDisk(bytes), 100);
    expect(source.position).toBe(100);
    expect(await source.peek(2)).toEqual(bytes.subarray(100, 102));
    expect(diskSource(memoryDisk(bytes), 300_000).position).toBe(200_000);
  });

  it('passes zeros, also many', async () => {
    const source = fromBytes(concat(new Uint8Array(70_000), Uint8Array.of(1, 0, 0)));
    expect(await passZeros(source)).toBe(true);
    expect(source.position).toBe(70_000);
    await source.skip(1);
    expect(await passZeros(source)).toBe(false);
    expect(source.position).toBe(70_003);
  });
});
