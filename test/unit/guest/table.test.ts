import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/bytes.ts';
import { type GuestTable, readGuestTable, requireShown } from '../../../src/core/guest/table.ts';
import { guidToBytes, NULL_GUID } from '../../../src/core/guid.ts';
import { hexToBytes } from '../../../src/core/hex.ts';
import { buildSecretTable, parseSecretTable, TABLE_HEADER_GUID, TableHead } from '../../../src/core/secret/table.ts';
import { failure } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';

const DISK = '736869e5-84f0-4973-92ec-06879ce3da0b';
const KBC = 'e6f5a162-d67f-4750-a67c-5d065f2a9910';
const { cases } = vectors<{
  linux_efi_secret_conformance: {
    cases: { id: string; area: string; result: string; files: number | null }[];
  };
}>('secret.json').linux_efi_secret_conformance;

const ascii = (text: string) => new Uint8Array(Buffer.from(text));
const entry = (guid: string, value: string, length = 20 + value.length) =>
  concat(TableHead.pack({ guid: guidToBytes(guid), length }), ascii(value));
const table = (...entries: Uint8Array[]) => {
  const body = concat(...entries);
  return concat(TableHead.pack({ guid: guidToBytes(TABLE_HEADER_GUID), length: 20 + body.length }), body);
};
const numbered = (i: number) => `${String(i).padStart(8, '0')}-0000-0000-0000-000000000001`;

/** The area as the driver had it: 0xc00 bytes, zeros behind what was put there. */
function observed(area: string): GuestTable {
  const inMemory = new Uint8Array(0xc00);
  inMemory.set(hexToBytes(area));
  return readGuestTable(inMemory);
}

/** What the driver said in each row in which it showed nothing: error and log, as they stand in the row's text. */
const SAID: Readonly<Record<string, RegExp>> = {
  'duplicate-guid': /-17 EEXIST/,
  'entry-corrupted': /-22 .*corrupted/,
  'length-too-big': /-22 .*too big/,
  'length-too-small': /-22 .*too small/,
  'no-table': /-19 ENODEV silent/,
};

describe("what Linux's efi_secret was seen to show", () => {
  it('is known in 20 rows', () => {
    expect(cases.length).toBe(20);
  });

  it.each(cases)('$id: $result', ({ area, result, files }) => {
    const { shown, refusal } = observed(area);
    expect(shown.length).toBe(files ?? 0);
    expect(refusal === null).toBe(files !== null);
    if (refusal !== null) expect(result).toMatch(SAID[refusal.code] ?? /^$/);
  });

  it.each([
    [
      't01_normal',
      [
        [DISK, 'alpha-secret'],
        [KBC, '{"k":"dg=="}'],
      ],
    ],
    [
      't08_empty_data',
      [
        [DISK, ''],
        [KBC, '{"k":"dg=="}'],
      ],
    ],
  ])('%s has these values', (id, values) => {
    const { shown } = observed(cases.find((one) => one.id === id)?.area ?? '');
    expect(shown.map(({ guid, value }) => [guid, Buffer.from(value).toString()])).toEqual(values);
    expect(shown[0]?.at).toBe(20);
  });

  it('agrees with the owner, who refuses what Linux drops', () => {
    for (const { id, area, files } of cases.filter((one) => one.files !== null)) {
      const inMemory = new Uint8Array(0xc00);
      inMemory.set(hexToBytes(area));
      if (id === 't09_70entries') expect(() => parseSecretTable(inMemory)).toThrow('more than 64 entries');
      else expect(parseSecretTable(inMemory).entries.length).toBe(files);
    }
  });
});

describe('readGuestTable', () => {
  const good = table(entry(DISK, 'abc'), entry(KBC, '{}'));

  it('gives the place of each entry, and copies', () => {
    const area = Buffer.from(good);
    const read = readGuestTable(area);
    area.fill(0xff);
    expect(read).toEqual({
      shown: [
        { guid: DISK, at: 20, value: ascii('abc') },
        { guid: KBC, at: 43, value: ascii('{}') },
      ],
      readable: read.shown,
      refusal: null,
      deleted: 0,
      length: 65,
    });
    expect(() => requireShown(read)).not.toThrow();
  });

  it('counts deleted entries and shows what is behind them', () => {
    const read = readGuestTable(table(entry(NULL_GUID, '\0\0'), entry(DISK, 'x'), entry(NULL_GUID, '')));
    expect(read).toMatchObject({ deleted: 2, refusal: null, shown: [{ guid: DISK, at: 42 }] });
  });

  it('takes less than a head behind the last entry for padding, and not more', () => {
    const grown = (by: number) => {
      const area = concat(good, new Uint8Array(by));
      area[16] = good.length + by;
      return readGuestTable(area);
    };
    expect(grown(19).shown.length).toBe(2);
    expect(grown(20)).toMatchObject({
      shown: [],
      readable: [{ guid: DISK }, { guid: KBC }],
      refusal: {
        code: 'entry-corrupted',
        errno: 'EINVAL',
        log: 'EFI secret area is corrupted',
        reason: 'entry 3 at byte 65: its length 0 is less than its head',
      },
    });
  });

  const lastEntry = (length: number) => table(entry(DISK, 'abc'), entry(KBC, '{}', length));
  it.each<[string, Uint8Array, Partial<GuestTable['refusal']>, number]>([
    [
      'an area of 19 bytes',
      good.subarray(0, 19),
      {
        code: 'area-too-small',
        errno: 'EINVAL',
        log: 'Invalid secret area memory location',
        reason: 'the area has 19 bytes, less than the 20 of a header',
      },
      0,
    ],
    [
      'an empty area',
      new Uint8Array(20),
      {
        code: 'no-table',
        errno: 'ENODEV',
        log: null,
        reason: `the area is empty, not with ${TABLE_HEADER_GUID}`,
      },
      0,
    ],
    [
      'another GUID at the start',
      concat(guidToBytes(DISK), good.subarray(16)),
      { code: 'no-table', errno: 'ENODEV', reason: `the area begins with ${DISK}, not with ${TABLE_HEADER_GUID}` },
      0,
    ],
    [
      'a length of 19',
      Uint8Array.from(good, (byte, i) => (i === 16 ? 19 : byte)),
      {
        code: 'length-too-small',
        errno: 'EINVAL',
        log: 'EFI secret area reported length is too small',
        reason: "the header's length 19 is less than the header",
      },
      0,
    ],
    [
      'a length of one byte too many',
      Uint8Array.from(good, (byte, i) => (i === 16 ? good.length + 1 : byte)),
      {
        code: 'length-too-big',
        errno: 'EINVAL',
        log: 'EFI secret area reported length is too big',
        reason: "the header's length 66 is more than the 65 bytes of the area",
      },
      2,
    ],
    ['an entry of 19', lastEntry(19), { reason: 'entry 2 at byte 43: its length 19 is less than its head' }, 1],
    [
      'an entry one byte too long',
      lastEntry(23),
      { reason: 'entry 2 at byte 43: its length 23 reaches beyond the table' },
      1,
    ],
    ['an entry of 4 GiB', lastEntry(0xffffffff), { code: 'entry-corrupted', errno: 'EINVAL' }, 1],
    [
      'a second entry of one GUID',
      table(entry(DISK, 'abc'), entry(KBC, '{}'), entry(DISK, 'def')),
      {
        code: 'duplicate-guid',
        errno: 'EEXIST',
        log: 'Error creating efi_secret securityfs entry',
        reason: `entry 3 at byte 65: a second entry for ${DISK}`,
      },
      3,
    ],
  ])('refuses %s', (_, area, refusal, readable) => {
    const read = readGuestTable(area);
    expect(read.refusal).toMatchObject(refusal ?? {});
    expect(read.shown).toEqual([]);
    expect(read.readable.length).toBe(readable);
    expect(failure(() => requireShown(read)).hint).toMatch(readable === 0 ? /prepares a new one/ : /--salvage/);
  });

  it('names the first thing that is wrong', () => {
    const both = table(entry(DISK, 'a'), entry(DISK, 'b'), entry(KBC, '{}', 500));
    expect(readGuestTable(both).refusal?.code).toBe('duplicate-guid');
    const long = concat(both, new Uint8Array(0));
    long[16] = 255;
    expect(readGuestTable(long).refusal?.code).toBe('length-too-big');
    expect(readGuestTable(long).readable.length).toBe(2);
  });

  it('says how long a table is that it refuses', () => {
    expect(readGuestTable(lastEntry(19)).length).toBe(65);
    expect(readGuestTable(Uint8Array.from(good, (byte, i) => (i === 16 ? 7 : byte))).length).toBe(7);
  });

  describe('with more than 64 entries', () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => entry(numbered(i), 'x'));
    it('shows 64, and reads the rest', () => {
      const read = readGuestTable(table(...many(66)));
      expect(read).toMatchObject({ refusal: null });
      expect(read.shown).toEqual(read.readable.slice(0, 64));
      expect(read.readable.length).toBe(66);
      expect(readGuestTable(table(...many(64))).shown.length).toBe(64);
    });
    it('does not count deleted ones', () => {
      const read = readGuestTable(table(entry(NULL_GUID, ''), ...many(64)));
      expect(read.shown.length).toBe(64);
    });
    it('does not see what is wrong behind them, as Linux does not', () => {
      for (const behind of [entry(KBC, '', 7), entry(numbered(0), 'x')]) {
        const read = readGuestTable(table(...many(64), behind));
        expect(read).toMatchObject({ refusal: null });
        expect(read.shown.length).toBe(64);
        expect(readGuestTable(table(...many(63), behind)).refusal).not.toBe(null);
      }
    });
  });

  it('reads what the owner builds', () => {
    const built = buildSecretTable([{ guid: DISK, value: ascii('abc'), form: 'nul' }], { room: 0xc00, pad: true });
    expect(readGuestTable(built).shown).toEqual([{ guid: DISK, at: 20, value: ascii('abc\0') }]);
  });
});

describe('requireShown', () => {
  it('says what Linux would, and what can be read all the same', () => {
    const area = table(entry(DISK, 'abc'), entry(KBC, '{}', 19));
    expect(failure(() => requireShown(readGuestTable(area)))).toEqual({
      kind: 'format',
      message:
        'secret table: entry 2 at byte 43: its length 19 is less than its head; ' +
        'Linux\'s driver shows nothing and logs "EFI secret area is corrupted" (EINVAL)',
      hint: '1 entries can be read with --salvage',
    });
    expect(failure(() => requireShown(readGuestTable(new Uint8Array(32))))).toEqual({
      kind: 'format',
      message: `secret table: the area is empty, not with ${TABLE_HEADER_GUID}; Linux's driver shows nothing and says nothing (ENODEV)`,
      hint: 'whoever owns the launch prepares a new one and injects its secrets; in a file there must be a whole secret area',
    });
  });
});
