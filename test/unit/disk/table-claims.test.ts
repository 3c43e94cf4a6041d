import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Gpt } from '../../../src/core/disk/read-gpt.ts';
import { tableProblems } from '../../../src/core/disk/table-claims.ts';
import { BootsealError } from '../../../src/core/errors.ts';

const ESP = { number: 1, name: 'esp', type: 't1', guid: 'g1', at: 1 << 20, size: 1 << 26, attributes: 0n };
const ROOT = { ...ESP, number: 2, name: 'root', guid: 'g2', at: 65 << 20 };
const table = { guid: 'disk', sectorSize: 512, partitions: [ESP, ROOT] } as unknown as Gpt;

const claim = ({ number, name, type, guid, at, size }: typeof ESP) =>
  ({ number, name, type, guid, offset: at, bytes: size, attributes: '0x0' }) as const;
const claimed = { type: 'gpt', guid: 'disk', partitions: [claim(ESP), claim(ROOT)] };

describe('tableProblems', () => {
  it('has nothing to say of the table that the manifest says, nor without one in both', () => {
    expect(tableProblems(table, claimed, 'm')).toEqual([]);
    expect(tableProblems(undefined, null, 'm')).toEqual([]);
  });

  it('holds a table against nothing where an older manifest does not say', () => {
    expect(tableProblems(table, undefined, 'm')).toEqual([]);
  });

  it('names a table that is there, or missing, against the manifest', () => {
    expect(tableProblems(table, null, 'm')).toEqual(['the disk has a partition table, and m says that it has none']);
    expect(tableProblems(undefined, claimed, 'm')).toEqual([
      'the disk has no partition table, and m says what is in it',
    ]);
  });

  it('refuses a manifest that says two things of one partition', () => {
    const partitions = [claim(ESP), claim(ROOT), claim(ROOT)];
    expect(() => tableProblems(table, { ...claimed, partitions }, 'm')).toThrow(
      expect.objectContaining({ kind: 'format', message: 'm: partitionTable is no partition table' }),
    );
  });

  it.each<[Partial<typeof ESP>, string]>([
    [{ name: 'other' }, 'name'],
    [{ type: 't2' }, 'type'],
    [{ guid: 'g3' }, 'guid'],
    [{ at: 2 << 20 }, 'offset'],
    [{ size: 1 << 25 }, 'bytes'],
    [{ name: '', size: 1 << 25 }, 'name, bytes'],
    [{ attributes: 1n << 63n }, 'attributes'],
    [{ guid: 'g3', attributes: 1n }, 'guid, attributes'],
  ])('names what of a partition is another (%#)', (change, fields) => {
    const partitions = [{ ...ESP, ...change }, ROOT] as unknown as Gpt['partitions'];
    expect(tableProblems({ ...table, partitions }, claimed, 'm')).toEqual([
      `partition 1 is not as m says: other ${fields}`,
    ]);
  });

  it('names partitions that are missing, or that nobody made, and another disk', () => {
    const partitions = [ROOT, { ...ESP, number: 7 }] as unknown as Gpt['partitions'];
    expect(tableProblems({ ...table, guid: 'another' as Gpt['guid'], partitions }, claimed, 'm')).toEqual([
      'the GUID of the partition table is not the one that m says',
      'partition 1 is missing, and m says what it is',
      'partition 7 is there, and m knows nothing of it',
    ]);
  });

  it('gives a value or a typed error for any JSON', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.record({ guid: fc.string(), partitions: fc.jsonValue() })), (any) => {
        try {
          expect(tableProblems(table, any, 'm').every((problem) => typeof problem === 'string')).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(BootsealError);
          expect(error).toMatchObject({ kind: 'format', message: 'm: partitionTable is no partition table' });
        }
      }),
    );
  });
});
