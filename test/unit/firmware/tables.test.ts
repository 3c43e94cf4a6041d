import { describe, expect, it } from 'vitest';
import { MAX_FIRMWARE_BYTES, parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { parseFooter } from '../../../src/core/firmware/footer.ts';
import { guidToBytes } from '../../../src/core/guid.ts';
import { failure } from '../../failure.ts';
import {
  AMDSEV,
  footerEntry,
  join,
  lastPage,
  NAME,
  sevMetadata,
  u16,
  u32,
  u64,
  withFooter,
} from '../../firmware-image.ts';
import { fixture } from '../../fixtures.ts';

const OTHER = 'ffeeddcc-bbaa-9988-7766-554433221100';
const SEV = 'dc886566-984a-4798-a75e-5585a7bf67cc';
const TDX = 'e47a6535-984a-4798-865e-4685a7bf8ec2';
const HASHES = '7255371f-3a3b-4b04-927b-1da6efa8d454';
const FOOTER = '96b582de-1fb2-45f7-baea-a366c55a082d';

/** An image that is nothing but a footer table with `entries` as its bytes and `length` as what it says. */
function table(entries: Uint8Array, length = entries.length + 18): Uint8Array {
  return join(entries, u16(length), guidToBytes(FOOTER), new Uint8Array(32));
}

describe('footer table', () => {
  it('is walked from the end of the image down', () => {
    const image = withFooter(
      new Uint8Array(5),
      footerEntry(NAME, Uint8Array.of(1, 2, 3)),
      footerEntry(OTHER, new Uint8Array()),
    );
    expect(parseFooter(image)).toEqual([
      { guid: OTHER, data: new Uint8Array() },
      { guid: NAME, data: Uint8Array.of(1, 2, 3) },
    ]);
  });

  it('gives copies, not views', () => {
    const image = withFooter(new Uint8Array(), footerEntry(NAME, Uint8Array.of(1)));
    const found = parseFooter(image);
    image.fill(0);
    expect(found[0]?.data).toEqual(Uint8Array.of(1));
  });

  it.each([
    ['without a footer GUID', new Uint8Array(4096)],
    ['too short for a footer', new Uint8Array(49)],
    ['of one byte', new Uint8Array(1)],
    ['with a footer only', table(new Uint8Array())],
    ['with a GUID where its length would be missing', join(guidToBytes(FOOTER), new Uint8Array(32))],
  ])('is empty in an image %s', (_name, image) => {
    expect(parseFooter(image)).toEqual([]);
    expect(parseFirmware(image)).toEqual({
      size: image.length,
      gpa: 2 ** 32 - image.length,
      footer: [],
      resetAddress: undefined,
      hashArea: undefined,
      secretArea: undefined,
      sevSections: undefined,
      tdxSections: undefined,
      svsmEntry: undefined,
    });
  });

  it.each([
    ['shorter than itself', table(new Uint8Array(), 17), 'its table of 17 bytes does not fit'],
    ['longer than the image', table(new Uint8Array(), 19), 'its table of 19 bytes does not fit'],
    ['with too few bytes for an entry', table(new Uint8Array(17)), '17 bytes at 0 are too few for an entry'],
    [
      'with an entry shorter than its tail',
      table(join(u16(17), guidToBytes(NAME))),
      `entry ${NAME} has an impossible length of 17`,
    ],
    [
      'with an entry longer than the table',
      table(join(u16(19), guidToBytes(NAME))),
      `entry ${NAME} has an impossible length of 19`,
    ],
    [
      'with an entry that comes twice',
      withFooter(new Uint8Array(), footerEntry(NAME, u32(1)), footerEntry(OTHER, u32(1)), footerEntry(NAME, u32(2))),
      `entry ${NAME} comes twice`,
    ],
  ])('is refused %s', (_name, image, message) => {
    const error = failure(() => parseFirmware(image));
    expect(error.kind).toBe('format');
    expect(error.message).toMatch(/^firmware footer: /);
    expect(error.message).toContain(message);
  });

  it('is refused behind other bytes as well', () => {
    const before = new Uint8Array(100);
    const message = (entries: Uint8Array) => failure(() => parseFooter(join(before, table(entries)))).message;
    expect(message(new Uint8Array(17))).toBe('firmware footer: 17 bytes at 100 are too few for an entry');
    expect(message(join(u16(19), guidToBytes(NAME)))).toContain('impossible length of 19');
  });

  it('is refused when a known entry has the wrong size', () => {
    for (const [guid, size, name] of [
      [HASHES, 7, 'kernel hash table area has 7 bytes of data instead of 8'],
      ['4c2eb361-7d9b-4cc3-8081-127c90d3d294', 9, 'launch secret area has 9 bytes of data instead of 8'],
      ['00f771de-1a7e-4fcb-890e-68c77e2fb44e', 0, 'SEV-ES reset block has 0 bytes of data instead of 4'],
      [SEV, 5, 'SEV metadata has 5 bytes of data instead of 4'],
      [TDX, 3, 'TDX metadata has 3 bytes of data instead of 4'],
      ['a789a612-0597-4c4b-a49f-cbb1fe9d1ddd', 8, 'SVSM information has 8 bytes of data instead of 4'],
    ] as const) {
      const image = withFooter(new Uint8Array(), footerEntry(guid, new Uint8Array(size)));
      expect(failure(() => parseFirmware(image))).toMatchObject({
        kind: 'format',
        message: `firmware footer: ${name}`,
      });
    }
  });

  it('says "not supported" by a base or a size of zero', () => {
    const areas = (base: number, size: number) =>
      parseFirmware(withFooter(new Uint8Array(), footerEntry(HASHES, join(u32(base), u32(size))))).hashArea;
    expect(areas(0, 0x400)).toBeUndefined();
    expect(areas(0xdeadbeef, 0)).toBeUndefined();
    expect(areas(0xdeadbeef, 1)).toEqual({ base: 0xdeadbeef, size: 1 });
  });
});

describe('SEV metadata', () => {
  const image = (fromEnd: number, bytes: Uint8Array) => withFooter(bytes, footerEntry(SEV, u32(fromEnd)));
  const tail = 50 + 22;

  it('may be anywhere in the image and is kept in file order', () => {
    const bytes = sevMetadata([
      [0x2000, 0x1000, 2],
      [0x1000, 0x1000, 99],
    ]);
    const sections = [
      { gpa: 0x2000, size: 0x1000, type: 2 },
      { gpa: 0x1000, size: 0x1000, type: 99 },
    ];
    expect(parseFirmware(image(bytes.length + tail, bytes)).sevSections).toEqual(sections);
    expect(parseFirmware(image(bytes.length + tail, join(new Uint8Array(3), bytes))).sevSections).toEqual(sections);
    expect(parseFirmware(image(16 + tail, sevMetadata([]))).sevSections).toEqual([]);
  });

  it.each([
    [
      'an offset before the image',
      1000,
      sevMetadata([]),
      'SEV metadata: its offset 1000 from the end lies outside the image',
    ],
    ['an offset with no room for a header', 15, sevMetadata([]), 'its offset 15 from the end lies outside'],
    ['an offset of zero', 0, sevMetadata([]), 'its offset 0 from the end lies outside'],
    [
      'another signature',
      16 + tail,
      join(u32(0), sevMetadata([]).subarray(4)),
      'SEV metadata.signature: wrong magic number',
    ],
    [
      'another version',
      16 + tail,
      join(sevMetadata([]).subarray(0, 8), u32(2), u32(0)),
      'SEV metadata: version 2 is not known',
    ],
    [
      'fewer sections than its length',
      28 + tail,
      join(sevMetadata([[0, 0, 1]]).subarray(0, 12), u32(0), new Uint8Array(12)),
      'SEV metadata: 0 sections do not fit its length of 28 bytes',
    ],
    [
      'more sections than its length',
      16 + tail,
      join(sevMetadata([]).subarray(0, 12), u32(1)),
      'SEV metadata: 1 sections do not fit its length of 16 bytes',
    ],
    [
      'sections past the end of the image',
      16 + tail,
      join(sevMetadata([]).subarray(0, 4), u32(16 + 12 * 400), u32(1), u32(400)),
      'SEV metadata: 400 sections do not fit its length of 4816 bytes',
    ],
    [
      'a count that would overflow',
      16 + tail,
      join(sevMetadata([]).subarray(0, 12), u32(0xffffffff)),
      '4294967295 sections do not fit',
    ],
  ])('is refused with %s', (_name, fromEnd, bytes, message) => {
    const error = failure(() => parseFirmware(image(fromEnd, bytes)));
    expect(error.kind).toBe('format');
    expect(error.message).toContain(message);
  });

  it('is refused with more sections than any firmware has', () => {
    const many = (count: number) => sevMetadata(Array.from({ length: count }, () => [0, 0, 1] as const));
    expect(parseFirmware(image(16 + 12 * 4096 + tail, many(4096))).sevSections).toHaveLength(4096);
    const error = failure(() => parseFirmware(image(16 + 12 * 4097 + tail, many(4097))));
    expect(error).toMatchObject({ kind: 'format', message: expect.stringContaining('4097 sections are more than') });
  });
});

describe('TDX metadata', () => {
  it('keeps 64-bit addresses and sections outside the file', () => {
    const section = join(u32(0x84000), u32(0x1000), u64(0xffff_ffff_0000_0000n), u64(2n ** 63n), u32(4), u32(3));
    const bytes = join(Uint8Array.from(Buffer.from('TDVF')), u32(48), u32(1), u32(1), section);
    const found = parseFirmware(withFooter(bytes, footerEntry(TDX, u32(48 + 72))));
    expect(found.tdxSections).toEqual([
      {
        dataOffset: 0x84000,
        rawSize: 0x1000,
        gpa: 0xffff_ffff_0000_0000n,
        memorySize: 2n ** 63n,
        type: 4,
        attributes: 3,
      },
    ]);
    bytes[0] = 0;
    const error = failure(() => parseFirmware(withFooter(bytes, footerEntry(TDX, u32(48 + 72)))));
    expect(error.message).toBe('TDX metadata.signature: wrong magic number');
  });
});

describe('a firmware image', () => {
  it('has at least one byte and at most 64 MiB', () => {
    expect(failure(() => parseFirmware(new Uint8Array()))).toMatchObject({
      kind: 'format',
      message: 'firmware: the image is empty',
    });
    expect(parseFirmware(new Uint8Array(MAX_FIRMWARE_BYTES)).gpa).toBe(0xfc000000);
    expect(failure(() => parseFirmware(new Uint8Array(MAX_FIRMWARE_BYTES + 1)))).toMatchObject({
      kind: 'format',
      message: 'firmware: 67108865 bytes are more than the 67108864 accepted here',
    });
  });

  it('is no IGVM file, which hosts load and measure by its own directives', () => {
    const igvm = withFooter(join(Uint8Array.from(Buffer.from('IGVM')), u32(1), new Uint8Array(100)));
    expect(failure(() => parseFirmware(igvm))).toEqual({
      kind: 'format',
      message: 'firmware: this is an IGVM file, not the image of a firmware',
      hint: 'predict its digest with `bootseal measure igvm FILE`, or give the OVMF image itself',
    });
    igvm[3] = 0;
    expect(parseFirmware(igvm).size).toBe(igvm.length);
  });

  it('may be an SVSM, which says where it starts', () => {
    const { svsmEntry, secretArea, resetAddress } = parseFirmware(fixture('sev-snp-measure/svsm.bin'));
    expect({ svsmEntry, secretArea, resetAddress }).toEqual({
      svsmEntry: 0,
      secretArea: undefined,
      resetAddress: 0xfffffff0,
    });
  });

  it('is read as it was built', () => {
    expect(parseFirmware(lastPage(AMDSEV))).toMatchObject({
      resetAddress: 0x80b004,
      hashArea: { base: 0x810c00, size: 0x400 },
      secretArea: { base: 0x810000, size: 0xc00 },
    });
  });
});
