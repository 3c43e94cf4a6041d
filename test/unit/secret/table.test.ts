import { describe, expect, it } from 'vitest';
import type { BootsealError } from '../../../src/core/errors.ts';
import { guidToBytes, NULL_GUID } from '../../../src/core/guid.ts';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import {
  buildSecretTable,
  MAX_ENTRIES,
  type OwnerSecret,
  parseSecretTable,
  secretWarnings,
  TABLE_HEADER_GUID,
  TableHead,
} from '../../../src/core/secret/table.ts';
import { vectors } from '../../fixtures.ts';

interface Conformance {
  readonly id: string;
  readonly area: string;
  readonly result: string;
  /** How many files Linux showed; null when it refused the table. */
  readonly files: number | null;
}

const { tables, linux_efi_secret_conformance: linux } = vectors<{
  tables: { id: string; entries?: { guid: string; data: string }[]; table?: string }[];
  linux_efi_secret_conformance: { cases: Conformance[] };
}>('secret.json');

const DISK = '736869e5-84f0-4973-92ec-06879ce3da0b';
const OTHER = 'e6f5a162-d67f-4750-a67c-5d065f2a9910';
const ascii = (text: string) => new Uint8Array(Buffer.from(text));
const secret = (value: string | Uint8Array, guid = DISK, form: OwnerSecret['form'] = 'raw'): OwnerSecret => ({
  guid,
  value: typeof value === 'string' ? ascii(value) : value,
  form,
});
const build = (secrets: readonly OwnerSecret[], room = 0xc00, pad?: boolean) =>
  buildSecretTable(secrets, pad === undefined ? { room } : { room, pad });
const numbered = (count: number) =>
  Array.from({ length: count }, (_, i) => secret('x', `${String(i).padStart(8, '0')}-0000-0000-0000-000000000001`));

describe('GUIDs in upper case', () => {
  const upper = (guid: string) => secret('x', guid.toUpperCase());

  it('are the same GUIDs', () => {
    expect(refusal(() => build([secret('a'), upper(DISK)]))).toMatchObject({
      kind: 'usage',
      message: `secret table: two secrets for ${DISK}`,
    });
    expect(refusal(() => build([upper(TABLE_HEADER_GUID)]))).toMatchObject({ kind: 'usage' });
    expect(parseSecretTable(build([upper(DISK)])).entries).toMatchObject([{ guid: DISK }]);
    expect(secretWarnings([upper('736870e5-84f0-4973-92ec-06879ce3da0b')])).toHaveLength(1);
    expect(secretWarnings([{ ...upper(DISK), value: ascii('x\n') }])).toHaveLength(1);
  });
});

it.each([Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY])('has no room of %d bytes', (room) => {
  expect(refusal(() => build([secret('x')], room))).toMatchObject({
    kind: 'usage',
    message: `secret table: a room of ${room} bytes`,
  });
});

function refusal(act: () => unknown): BootsealError {
  try {
    act();
  } catch (error) {
    return error as BootsealError;
  }
  throw new Error('it was accepted');
}

describe('buildSecretTable', () => {
  it('writes heads as declared', () => {
    expect(TableHead.size).toBe(20);
    expect(TableHead.offset).toEqual({ guid: 0, length: 16 });
  });

  it.each(tables.filter((entry) => entry.table !== undefined))('$id', ({ entries = [], table = '' }) => {
    const secrets = entries.map(({ guid, data }) => secret(hexToBytes(data), guid));
    expect(bytesToHex(build(secrets))).toBe(table);
    expect(parseSecretTable(hexToBytes(table)).entries).toEqual(secrets.map(({ guid, value }) => ({ guid, value })));
  });

  it('ends with whole blocks, which fraunhofer-table-unpadded does not', () => {
    expect(tables.map(({ id }) => id)).toEqual(['simple-kbs-table', 'fraunhofer-table-unpadded']);
    for (let size = 1; size <= 64; size++) expect(build([secret(new Uint8Array(size).fill(1))]).length % 16).toBe(0);
  });

  it('adds no block to a table that is aligned already, unlike virt-qemu-sev-validate', () => {
    expect(build([secret('12345678')]).length).toBe(48);
    expect(build([secret('123456789')]).length).toBe(64);
    expect(build([secret('1234567')]).length).toBe(48);
  });

  it('counts the NUL of a NUL-terminated secret, and no padding', () => {
    const table = build([secret('abc', DISK, 'nul'), secret('de', OTHER)]);
    expect(bytesToHex(table)).toBe(
      `42f5741edd71664d963eef4287ff173b42000000${bytesToHex(guidToBytes(DISK))}1800000061626300${bytesToHex(guidToBytes(OTHER))}160000006465${'00'.repeat(14)}`,
    );
    expect(parseSecretTable(table)).toEqual({
      entries: [
        { guid: DISK, value: ascii('abc\0') },
        { guid: OTHER, value: ascii('de') },
      ],
      deleted: 0,
      length: 66,
    });
  });

  it('hides the lengths when asked: every table fills the room, zeros behind the last entry', () => {
    const short = build([secret('a')], 0xc00, true);
    expect(short.length).toBe(0xc00);
    expect(build([secret('a'.repeat(3000))], 0xc00, true).length).toBe(0xc00);
    expect(bytesToHex(short)).toBe(bytesToHex(build([secret('a')])).padEnd(2 * 0xc00, '0'));
    expect(parseSecretTable(short)).toMatchObject({ length: 41, deleted: 0 });
    expect(build([secret('a')], 100, true).length).toBe(96);
    expect(build([secret('a')], 100, false).length).toBe(48);
  });

  it('takes exactly what the room holds', () => {
    expect(build([secret('a'.repeat(0xc00 - 40))]).length).toBe(0xc00);
    const error = refusal(() => build([secret('a'.repeat(0xc00 - 39))]));
    expect(error).toMatchObject({
      kind: 'usage',
      message: "secret table: 3088 bytes, the firmware's secret area takes 3072",
      hint: expect.stringContaining('inject a key'),
    });
    expect(refusal(() => build([secret('a'.repeat(48))], 80)).message).toContain('96 bytes');
  });

  it('takes 64 entries, as many as Linux shows', () => {
    const table = build(numbered(MAX_ENTRIES));
    expect(parseSecretTable(table).entries.length).toBe(64);
    expect(refusal(() => build(numbered(65)))).toMatchObject({
      kind: 'usage',
      message: 'secret table: 65 entries, a guest sees only 64',
    });
  });

  it('says what a guest would make of two for one GUID, and of a NUL inside text', () => {
    expect(refusal(() => build([secret('a'), secret('b')])).hint).toMatch(
      /no secret at all: give each a GUID of its own, or put both values into one secret/,
    );
    expect(refusal(() => build([secret('a\0b', DISK, 'nul')])).hint).toContain('give it raw');
  });

  it.each<[string, OwnerSecret[]]>([
    ['no secret was given', []],
    ['two secrets for 736869e5-84f0-4973-92ec-06879ce3da0b', [secret('a'), secret('b', OTHER), secret('c')]],
    ['00000000-0000-0000-0000-000000000000 marks a deleted entry', [secret('a', NULL_GUID)]],
    ['1e74f542-71dd-4d66-963e-ef4287ff173b is the header', [secret('a', TABLE_HEADER_GUID)]],
    [`the secret for ${DISK} is empty`, [secret('')]],
    [`the secret for ${DISK} is empty`, [secret('', DISK, 'nul')]],
    [`the secret for ${DISK} has a zero byte before its end`, [secret('a\0b', DISK, 'nul')]],
    [`the secret for ${DISK} has a zero byte before its end`, [secret('ab\0', DISK, 'nul')]],
  ])('refuses: %s', (message, secrets) => {
    const error = refusal(() => build(secrets));
    expect(error.kind).toBe('usage');
    expect(error.message).toContain(`secret table: ${message}`);
  });

  it('keeps zero bytes in raw secrets', () => {
    expect(parseSecretTable(build([secret('a\0b\0')])).entries[0]?.value).toEqual(ascii('a\0b\0'));
  });
});

describe('secretWarnings', () => {
  it.each<[string, OwnerSecret, string[]]>([
    ['nothing about a plain passphrase', secret('abc'), []],
    ['a newline', secret('abc\n'), [`the disk passphrase (${DISK}) ends in a newline, which is a part of it`]],
    ['a NUL', secret('abc\0'), [`the disk passphrase (${DISK}) ends in a zero byte, which is a part of it`]],
    ['no newline elsewhere', secret('abc\n', OTHER), []],
    ['no newline before a NUL, which is asked for', secret('abc\n', DISK, 'nul'), []],
    [
      'the near miss',
      secret('abc', '736870e5-84f0-4973-92ec-06879ce3da0b'),
      [`736870e5-84f0-4973-92ec-06879ce3da0b is an example of the Linux documentation; the disk passphrase is ${DISK}`],
    ],
    [
      'a GUID of the firmware',
      secret('abc', '4c2eb361-7d9b-4cc3-8081-127c90d3d294'),
      ["4c2eb361-7d9b-4cc3-8081-127c90d3d294 is the GUID of the firmware's secret area, not of a secret"],
    ],
  ])('%s', (_, given, warnings) => {
    expect(secretWarnings([secret('x', OTHER), given])).toEqual(warnings);
  });
});

describe("Linux's efi_secret, observed", () => {
  /** Linux shows the first 64 of these 70 and drops the rest without a word; we refuse. */
  const DROPPED_SILENTLY = 't09_70entries';

  it('has not lost entries', () => {
    expect(linux.cases.length).toBe(20);
  });

  it.each(linux.cases.filter(({ files, id }) => files !== null && id !== DROPPED_SILENTLY))(
    'accepts $id: $result',
    ({ area, files }) => {
      // The rest of the 0xc00 bytes was zero.
      const inMemory = new Uint8Array(0xc00);
      inMemory.set(hexToBytes(area));
      const { entries } = parseSecretTable(inMemory);
      expect(entries.length).toBe(files);
      expect(entries).toEqual(parseSecretTable(hexToBytes(area)).entries);
    },
  );

  it.each<[string, string]>([
    ['t02_dupguid', 'entry 2 at byte 52: a second entry for 736869e5-84f0-4973-92ec-06879ce3da0b'],
    ['t04_zeropad24_inside', 'entry 3 at byte 84: its length 0 is less than its head'],
    ['t06_hdr_too_big', "the header's length 3073 is more than the 3072 bytes there are"],
    ['t07_hdr_19', "the header's length 19 is less than the header"],
    [DROPPED_SILENTLY, 'entry 65 at byte 1364: more than 64 entries'],
    [
      't10_noguid',
      "the header's GUID is 00000000-0000-0000-0000-000000000000, not 1e74f542-71dd-4d66-963e-ef4287ff173b",
    ],
    ['t11_grub_consumed', 'entry 1 at byte 20: its length 0 is less than its head'],
    ['t12_entry_overflow', 'entry 2 at byte 52: its length 4294967295 reaches beyond the table'],
    ['t12b_entry_len19', 'entry 2 at byte 52: its length 19 is less than its head'],
    ['t15_second_bad', 'entry 2 at byte 52: its length 500 reaches beyond the table'],
    ['t18_hdr_0x80000014', "the header's length 2147483668 is more than the 3072 bytes there are"],
  ])('refuses %s: %s', (id, message) => {
    const inMemory = new Uint8Array(0xc00);
    inMemory.set(hexToBytes(linux.cases.find((entry) => entry.id === id)?.area ?? ''));
    expect(refusal(() => parseSecretTable(inMemory))).toMatchObject({
      kind: 'format',
      message: `secret table: ${message}`,
    });
  });

  it('is known in full', () => {
    const refused = linux.cases.filter(({ files, id }) => files === null || id === DROPPED_SILENTLY);
    expect(refused.length).toBe(11);
  });
});

describe('parseSecretTable', () => {
  it('counts deleted entries and keeps nothing of them', () => {
    const table = build([secret('gone'), secret('here', OTHER)]);
    table.fill(0, 20, 36);
    expect(parseSecretTable(table)).toEqual({
      entries: [{ guid: OTHER, value: ascii('here') }],
      deleted: 1,
      length: 68,
    });
  });

  it('counts deleted entries when it numbers the others', () => {
    const table = build([secret('gone'), secret('here', OTHER)]);
    table.fill(0, 20, 36);
    table[60] = 0xff;
    expect(refusal(() => parseSecretTable(table)).message).toContain('entry 2 at byte 44: its length 255');
  });

  it('accepts an empty table and an empty entry at the very end', () => {
    const header = build([secret('x')]).slice(0, 20);
    header[16] = 20;
    expect(parseSecretTable(header)).toEqual({ entries: [], deleted: 0, length: 20 });
    const withEntry = Uint8Array.of(...header, ...guidToBytes(DISK), 20, 0, 0, 0);
    withEntry[16] = 40;
    expect(parseSecretTable(withEntry).entries).toEqual([{ guid: DISK, value: new Uint8Array(0) }]);
  });

  it('returns copies, also from a Buffer', () => {
    const table = Buffer.from(build([secret('abc')]));
    const { entries } = parseSecretTable(table);
    table.fill(0xff);
    expect(entries[0]?.value).toEqual(ascii('abc'));
  });

  it.each([0, 1, 19])('refuses %i bytes', (size) => {
    expect(refusal(() => parseSecretTable(new Uint8Array(size)))).toMatchObject({
      kind: 'format',
      message: `secret table: header: needs 20 bytes, only ${size} are there`,
    });
  });
});
