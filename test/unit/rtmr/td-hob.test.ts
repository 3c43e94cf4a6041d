import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { memoryBelow4GiB } from '../../../src/core/measurement/machine-memory.ts';
import type { UsableTdxSection } from '../../../src/core/measurement/tdx-sections.ts';
import { tdHob } from '../../../src/core/rtmr/td-hob.ts';
import { failure, HINT } from '../../failure.ts';

const MIB = 2 ** 20;
const section = (name: string, gpa: number, size: number): UsableTdxSection => ({
  name,
  gpa,
  size,
  dataOffset: undefined,
  extended: false,
});
const place = section('TD_HOB', 0x809000, 0x2000);
const sections = [section('BFV', 0xffc84000, 0x37c000), section('TEMP_MEM', 0x810000, 0x10000), place];

/** The resources of a list: type, address, length. */
function resources(list: Uint8Array): readonly (readonly [number, string, string])[] {
  const view = Buffer.from(list);
  const out: (readonly [number, string, string])[] = [];
  for (let at = 56; at < list.length; at += 48) {
    expect([view.readUInt16LE(at), view.readUInt16LE(at + 2)]).toEqual([3, 48]);
    expect(bytesToHex(list.subarray(at + 4, at + 24))).toBe('00'.repeat(20));
    expect(view.readUInt32LE(at + 28)).toBe(7);
    const [start, length] = [view.readBigUInt64LE(at + 32), view.readBigUInt64LE(at + 40)];
    out.push([view.readUInt32LE(at + 24), start.toString(16), length.toString(16)]);
  }
  return out;
}

describe('the list of memory', () => {
  it('begins with a PHIT HOB that says where the list ends, the last HOB included', () => {
    const list = tdHob(2048 * MIB, sections);
    const head = Buffer.alloc(56);
    head.writeUInt16LE(1, 0);
    head.writeUInt16LE(56, 2);
    head.writeUInt32LE(9, 8);
    head.writeBigUInt64LE(BigInt(0x809000 + list.length + 8), 48);
    expect(list.length).toBe(56 + 5 * 48);
    expect(bytesToHex(list.subarray(0, 56))).toBe(bytesToHex(head));
  });

  it('names what was added, by address, and the memory between', () => {
    expect(resources(tdHob(2048 * MIB, sections))).toEqual([
      [7, '0', '809000'],
      [0, '809000', '2000'],
      [7, '80b000', '5000'],
      [0, '810000', '10000'],
      [7, '820000', '7f7e0000'],
    ]);
  });

  it('has no gap between neighbours, before the first one at 0, or behind the last', () => {
    const near = [section('TD_HOB', 0, 0x2000), section('TEMP_MEM', 0x2000, 0x2000)];
    expect(resources(tdHob(0x4000, near))).toEqual([
      [0, '0', '2000'],
      [0, '2000', '2000'],
    ]);
  });

  it('is split at 4 GiB from 2.75 GiB on', () => {
    expect(resources(tdHob(2816 * MIB - 8192, sections)).at(-1)).toEqual([7, '820000', 'af7de000']);
    expect(resources(tdHob(2816 * MIB, sections)).slice(-2)).toEqual([
      [7, '820000', '7f7e0000'],
      [7, '100000000', '30000000'],
    ]);
    expect(resources(tdHob(2 ** 46, sections)).at(-1)).toEqual([7, '100000000', '3fff80000000']);
    expect([memoryBelow4GiB(0xafffffff), memoryBelow4GiB(0xb0000000)]).toEqual([0xafffffff, 0x80000000]);
  });
});

describe('a size that no guest has is refused', () => {
  it.each([0, -8192, 8191, 8192 * 1.5, 2 ** 46 + 8192, Number.NaN])('%d bytes', (memory) => {
    expect(failure(() => tdHob(memory, sections))).toEqual({
      kind: 'usage',
      message: `${memory} bytes of memory are not a multiple of 8192 up to 64T`,
      hint: HINT,
    });
  });

  it('one that ends before a section', () => {
    expect(failure(() => tdHob(0x81e000, sections))).toEqual({
      kind: 'usage',
      message: "8511488 bytes of memory end before the firmware's TEMP_MEM at 0x810000",
      hint: HINT,
    });
    expect(resources(tdHob(0x820000, sections))).toHaveLength(4);
  });
});

describe('a list that does not fit', () => {
  const small = (size: number) => [section('TD_HOB', 0x809000, size)];

  it('is refused, with the HOB that ends it', () => {
    const size = 56 + 3 * 48;
    expect(failure(() => tdHob(2048 * MIB, small(size + 7)))).toEqual({
      kind: 'format',
      message: `the list of memory has ${size} bytes, more than the firmware has room for`,
      hint: HINT,
    });
    expect(tdHob(2048 * MIB, small(size + 8))).toHaveLength(size);
  });

  it('is refused without a place for it', () => {
    expect(failure(() => tdHob(2048 * MIB, []))).toMatchObject({ kind: 'format' });
  });
});
