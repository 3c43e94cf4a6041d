import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { HASH_TABLE_SIZE, kernelHashTable, usableHashArea } from '../../../src/core/measurement/hash-table.ts';
import { failure } from '../../failure.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { kernelHashes } from '../../measurement-vectors.ts';

interface Groups {
  readonly kernel_hash_table: readonly {
    readonly id: string;
    readonly inputs: { readonly kernel: string; readonly initrd: string | null; readonly append: string | null };
    readonly expected: { readonly hex: string };
  }[];
}

const { groups } = vectors<{ groups: Groups }>('measurement.json');

const IMAGE = { gpa: 0xffc00000, size: 0x400000 };

describe('kernel hash table', () => {
  it.each(groups.kernel_hash_table)('$id', ({ inputs, expected }) => {
    const initrd = inputs.initrd === null ? new Uint8Array() : fixture(inputs.initrd);
    const table = kernelHashTable(kernelHashes(fixture(inputs.kernel), initrd, inputs.append ?? ''));
    expect(bytesToHex(table)).toBe(expected.hex);
    expect(table.length).toBe(HASH_TABLE_SIZE);
  });

  it('needs an area that holds it', () => {
    expect(usableHashArea({ ...IMAGE, hashArea: { base: 0x810c00, size: 176 } })).toEqual({
      base: 0x810c00,
      size: 176,
    });
    expect(failure(() => usableHashArea({ ...IMAGE, hashArea: { base: 0x810c00, size: 175 } }))).toMatchObject({
      kind: 'format',
      message: "the firmware's hash area has 175 bytes, the table needs 176",
    });
    expect(failure(() => usableHashArea({ ...IMAGE, hashArea: undefined }))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('no area for kernel hashes'),
      hint: expect.stringContaining('AmdSevX64.dsc'),
    });
  });

  it('needs an area that the host can fill, beside the image', () => {
    const at = (base: number) => failure(() => usableHashArea({ ...IMAGE, hashArea: { base, size: 0x400 } }));
    expect(at(0x810c01)).toMatchObject({ kind: 'format', message: expect.stringContaining('multiple of 16') });
    expect(at(0xffffff00).message).toContain('beyond 4 GiB');
    expect(at(IMAGE.gpa).message).toContain('over the image itself');
  });

  it('takes hashes of 32 bytes only', () => {
    const short = { kernel: new Uint8Array(31), initrd: new Uint8Array(32), cmdline: new Uint8Array(32) };
    expect(failure(() => kernelHashTable(short)).message).toBe(
      'PaddedSevHashTable.kernel.hash: needs 32 bytes, got 31',
    );
  });
});
