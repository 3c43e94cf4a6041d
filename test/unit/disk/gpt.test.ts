import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../src/core/disk/crc32.ts';
import { encodeGpt, GptEntry, GptHeader, type NewPartition, placePartitions } from '../../../src/core/disk/gpt.ts';
import { ESP_TYPE, READ_ONLY, ROOT_TYPES } from '../../../src/core/disk/partition-types.ts';
import { readGpt } from '../../../src/core/disk/read-gpt.ts';
import { memoryDisk } from '../../luks-image.ts';

const DISK = '01234567-89ab-4cde-8f01-23456789abcd';
const MIB = 1 << 20;

const part = (over: Partial<NewPartition> = {}): NewPartition => ({
  type: ESP_TYPE,
  guid: '11111111-2222-4333-8444-555555555555',
  name: 'esp',
  size: MIB,
  attributes: 0n,
  ...over,
});

const ROOT = part({
  type: ROOT_TYPES['x86-64'].root,
  guid: '21111111-2222-4333-8444-555555555555',
  name: 'root-x86-64',
  size: MIB + 512,
  attributes: READ_ONLY,
});

function diskOf(...wanted: NewPartition[]): Uint8Array {
  const places = placePartitions(wanted);
  const image = new Uint8Array(places.diskSize);
  for (const { at, bytes } of encodeGpt(places, DISK)) image.set(bytes, at);
  return image;
}

const read = (image: Uint8Array) => readGpt(memoryDisk(image));

describe('placePartitions', () => {
  it('starts each at a whole MiB and leaves room for the second table', () => {
    const { partitions, diskSize } = placePartitions([part(), ROOT, part()]);
    expect(partitions.map(({ number, at }) => [number, at])).toEqual([
      [1, MIB],
      [2, 2 * MIB],
      [3, 4 * MIB],
    ]);
    expect(diskSize).toBe(6 * MIB);
  });

  it('has no MiB at the end that nothing needs', () => {
    expect(placePartitions([part({ size: MIB - 33 * 512 })]).diskSize).toBe(2 * MIB);
    expect(placePartitions([part({ size: MIB - 32 * 512 })]).diskSize).toBe(3 * MIB);
  });

  it('refuses what is no partition', () => {
    const size = (bytes: number) => () => placePartitions([part({ size: bytes })]);
    for (const bytes of [0, -512, 511, 1.5, 2 ** 60]) expect(size(bytes)).toThrow(`${bytes} bytes is no whole number`);
    expect(() => placePartitions([part({ name: 'x'.repeat(37) })])).toThrow('at most 36 letters');
    expect(placePartitions([part({ name: 'x'.repeat(36) })]).partitions).toHaveLength(1);
    expect(() => placePartitions(Array(129).fill(part()))).toThrow('room for 128');
    expect(placePartitions(Array(128).fill(part())).partitions).toHaveLength(128);
  });
});

describe('encodeGpt and readGpt', () => {
  it('give back what went in', async () => {
    const gpt = await read(diskOf(part(), ROOT));
    expect(gpt).toEqual({
      guid: DISK,
      sectorSize: 512,
      partitions: [
        { ...part(), number: 1, at: MIB },
        { ...ROOT, number: 2, at: 2 * MIB },
      ],
    });
  });

  it('writes the second table before the first', () => {
    const places = placePartitions([part()]);
    expect(encodeGpt(places, DISK).map(({ at, bytes }) => [at, bytes.length])).toEqual([
      [places.diskSize - 33 * 512, 33 * 512],
      [0, 34 * 512],
    ]);
  });

  it('protects everything behind the first sector', () => {
    const image = diskOf(part());
    expect([...image.subarray(446, 462)]).toEqual([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 23, 0, 0]);
    expect(image.length / 512 - 1).toBe(0x17ff);
    expect([image[510], image[511]]).toEqual([0x55, 0xaa]);
  });

  it('finds none where there is none', async () => {
    expect(await read(new Uint8Array(MIB))).toBeUndefined();
    expect(await read(new Uint8Array(10))).toBeUndefined();
    expect(await read(new Uint8Array())).toBeUndefined();
  });
});

/** Changes fields of a header, or the bytes of its entries, and makes the checksums right again. */
function forged(
  header: Partial<ReturnType<typeof GptHeader.unpack>>,
  { entries = () => {}, copies = [1, (2 * MIB) / 512 + 2047] as readonly number[] } = {} as {
    entries?: (entries: Uint8Array) => void;
    copies?: readonly number[];
  },
): Uint8Array {
  const image = diskOf(part());
  for (const lba of copies) {
    const before = GptHeader.unpack(image, lba * 512);
    const table = image.subarray(Number(before.entriesLba) * 512, Number(before.entriesLba) * 512 + 128 * 128);
    entries(table);
    const fields = { ...before, entriesCrc: crc32(table), ...header, headerCrc: 0 };
    const bytes = GptHeader.pack(fields);
    image.set(GptHeader.pack({ ...fields, headerCrc: crc32(bytes) }), lba * 512);
  }
  return image;
}

describe('readGpt: a disk of the host', () => {
  const LAST = BigInt((3 * MIB) / 512 - 1);

  it('takes the sample when nothing is forged', async () => {
    expect((await read(forged({})))?.partitions).toHaveLength(1);
  });

  const flip = (at: number) => {
    const image = diskOf(part());
    const place = at < 0 ? image.length + at : at;
    image[place] = (image[place] ?? 0) ^ 1;
    return image;
  };

  it.each([
    ['a bit of the disk GUID', 512 + 56, 'the checksum of the first table is wrong'],
    ['a bit of an entry', 1024, 'the checksum of the entries of the first table is wrong'],
    ['a bit of the last entry', 1024 + 128 * 128 - 1, 'the checksum of the entries of the first table is wrong'],
    ['a bit of the second table', -512 + 56, 'the checksum of the second table is wrong'],
    ['a bit of the entries of the second', -33 * 512, 'the checksum of the entries of the second table is wrong'],
    ['the signature of the second', -512, 'the second table is not there'],
    ['the signature of the first', 512, 'a protective MBR is there, and no table behind it'],
    ['the type of the protective MBR', 450, 'the MBR before the table does not just protect it'],
    ['the start of the protective MBR', 454, 'the MBR before the table does not just protect it'],
    ['another partition in the MBR', 466, 'the MBR before the table does not just protect it'],
    ['the signature of the MBR', 510, 'the MBR before the table does not just protect it'],
  ])('refuses %s', async (_, at, message) => {
    await expect(read(flip(at))).rejects.toMatchObject({ kind: 'format', message: expect.stringContaining(message) });
  });

  it.each([
    [{ revision: 0x10001 }, 'unknown revision'],
    [{ headerSize: 91 }, 'a header of 91 bytes'],
    [{ headerSize: 513 }, 'a header of 513 bytes'],
    [{ myLba: 2n }, 'says that it is elsewhere'],
    [{ entryCount: 0 }, '0 entries'],
    [{ entryCount: 1025 }, '1025 entries'],
    [{ entryCount: 0xffffffff }, '4294967295 entries'],
    [{ entrySize: 120 }, 'entries of 120 bytes'],
    [{ entrySize: 129 }, 'entries of 129 bytes'],
    [{ entrySize: 8192 }, 'entries of 8192 bytes'],
    [{ entriesLba: 2n ** 63n }, 'beyond the 6144 sectors'],
    [{ entriesLba: LAST + 1n }, 'beyond the 6144 sectors'],
    [{ entriesLba: LAST }, 'ends after 3145728 bytes'],
    [{ alternateLba: LAST + 1n }, 'beyond the 6144 sectors'],
    [{ alternateLba: 1n }, 'there is no second'],
    [{ alternateLba: 0n }, 'there is no second'],
    [{ alternateLba: 2n }, 'the second table is not there'],
    [{ lastUsableLba: LAST - 32n }, 'do not agree'],
    [{ diskGuid: new Uint8Array(16) }, 'do not agree'],
    [{ firstUsableLba: 35n }, 'do not agree'],
    [{ entryCount: 64, entriesCrc: 0 }, 'the checksum of the entries'],
  ])('refuses the first table with %o', async (over, message) => {
    await expect(read(forged(over, { copies: [1] }))).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
    });
  });

  const place = (firstLba: bigint, lastLba: bigint) => (table: Uint8Array) => {
    table.set(GptEntry.pack({ ...GptEntry.unpack(table), firstLba, lastLba }));
  };

  it.each([
    ['one that ends before it starts', place(2049n, 2048n), 'ends before it starts'],
    ['one before the usable sectors', place(33n, 2048n), 'not inside'],
    ['one behind them', place(2048n, LAST - 32n), 'not inside'],
    ['one without end', place(2048n, 2n ** 64n - 1n), 'not inside'],
    ['one that starts nowhere', place(2n ** 63n, 2n ** 63n + 1n), 'not inside'],
    [
      'two that overlap',
      (table: Uint8Array) => {
        place(2048n, 4095n)(table);
        table.copyWithin(128, 0, 128);
        const second = table.subarray(128);
        second.set(GptEntry.pack({ ...GptEntry.unpack(second), firstLba: 4095n, lastLba: 4096n }));
      },
      'partitions 1 and 2 overlap',
    ],
  ])('refuses %s', async (_, entries, message) => {
    await expect(read(forged({}, { entries }))).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
    });
  });

  it('takes partitions up to the limits', async () => {
    const gpt = await read(forged({}, { entries: place(34n, LAST - 33n) }));
    expect(gpt?.partitions[0]).toMatchObject({ at: 34 * 512, size: (Number(LAST) - 33 - 33) * 512 });
  });

  it('shows a name only up to its end', async () => {
    const gpt = await read(forged({}, { entries: (table) => void table.set([0x22, 0x21, 0, 0, 1], 56) }));
    expect(gpt?.partitions[0]?.name).toBe('\u2122');
  });

  it('reads tables for sectors of 4096', async () => {
    const image = new Uint8Array(24 * 4096);
    const small = diskOf(part());
    const table = new Uint8Array(4096);
    const entry = GptEntry.unpack(small, 1024);
    table.set(GptEntry.pack({ ...entry, firstLba: 3n, lastLba: 4n }));
    image.set(small.subarray(0, 512));
    const fields = {
      ...GptHeader.unpack(small, 512),
      ...{ firstUsableLba: 3n, lastUsableLba: 20n, entryCount: 32, entriesCrc: crc32(table), headerCrc: 0 },
    };
    for (const [myLba, alternateLba, entriesLba] of [
      [1n, 23n, 2n],
      [23n, 1n, 22n],
    ] as const) {
      const header = { ...fields, myLba, alternateLba, entriesLba };
      image.set(GptHeader.pack({ ...header, headerCrc: crc32(GptHeader.pack(header)) }), Number(myLba) * 4096);
      image.set(table, Number(entriesLba) * 4096);
    }
    expect(await read(image)).toMatchObject({ sectorSize: 4096, partitions: [{ at: 3 * 4096, size: 2 * 4096 }] });
  });
});
