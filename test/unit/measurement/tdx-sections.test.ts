import { describe, expect, it } from 'vitest';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { usableTdxSections } from '../../../src/core/measurement/tdx-sections.ts';
import { failure } from '../../failure.ts';
import { AMDSEV, firmwareImage, TDVF, type TdxEntry } from '../../firmware-image.ts';
import { fixture, vectors } from '../../fixtures.ts';

const usable = (sections: Readonly<Record<string, TdxEntry>>) =>
  usableTdxSections(parseFirmware(firmwareImage({ ...AMDSEV, tdx: Object.values(sections) })));

const { groups } = vectors<{
  groups: { should_refuse_or_warn: { id: string; mode: string; inputs: { ovmf: string } }[] };
}>('measurement.json');

describe('TDX sections', () => {
  it('are those of the metadata, in file order', () => {
    expect(usable(TDVF)).toEqual([
      { name: 'BFV', gpa: 0xffff2000, size: 0xe000, dataOffset: 0x2000, extended: true },
      { name: 'CFV', gpa: 0xffff0000, size: 0x2000, dataOffset: 0, extended: false },
      { name: 'TEMP_MEM', gpa: 0x810000, size: 0x3000, dataOffset: undefined, extended: false },
      { name: 'TD_HOB', gpa: 0x809000, size: 0x2000, dataOffset: undefined, extended: false },
    ]);
  });

  const cut = groups.should_refuse_or_warn.filter(({ mode }) => mode === 'tdx');
  it('of every cut image of the known answers are refused', () => expect(cut.length).toBe(6));
  it.each(cut)('are refused where they are not in the file: $id', ({ inputs }) => {
    expect(failure(() => usableTdxSections(parseFirmware(fixture(inputs.ovmf))))).toEqual({
      kind: 'format',
      message: expect.stringMatching(/^TDX metadata section BFV at 0xff.*: bytes 0x.* are not in this file of 0x/),
      hint: expect.stringContaining('variable store and code in one file'),
    });
  });

  it.each([AMDSEV, { ...AMDSEV, tdx: [] }])('must be there: %j', (tables) => {
    const image = firmwareImage(tables);
    expect(failure(() => usableTdxSections(parseFirmware(image)))).toEqual({
      kind: 'format',
      message: 'the firmware has no TDX metadata, so no host can start it as a TDX guest',
      hint: expect.stringContaining('IntelTdxX64.dsc'),
    });
  });

  const { bfv, cfv, tempMem, tdHob } = TDVF;
  const DAMAGED = 'take the image again';
  it.each<[string, Readonly<Record<string, TdxEntry>>, string, string]>([
    [
      'code after the end',
      { ...TDVF, bfv: { ...bfv, at: 0x3000 } },
      'bytes 0x3000 to 0x11000 are not in this',
      'full image',
    ],
    [
      'variables after the end',
      { ...TDVF, cfv: { ...cfv, at: 0xf000 } },
      'CFV at 0xfffff000: bytes 0xf000 to',
      'full image',
    ],
    [
      'an offset that wraps',
      { ...TDVF, cfv: { ...cfv, at: 0xfffff000, gpa: 0x1000 } },
      'to 0x100001000 are not',
      'full image',
    ],
    ['overlapping sections', { ...TDVF, tempMem: { ...tempMem, gpa: 0x80a000 } }, 'overlap at 0x80a000', DAMAGED],
    ['a section twice', { ...TDVF, again: cfv }, 'overlap at 0xffff0000', DAMAGED],
    ['pages for later', { ...TDVF, tempMem: { ...tempMem, attributes: 2 } }, '(PAGE_AUG)', 'hosts differ'],
    ['measured pages for later', { ...TDVF, bfv: { ...bfv, attributes: 3 } }, '(PAGE_AUG)', 'hosts differ'],
    ['unknown attributes', { ...TDVF, cfv: { ...cfv, attributes: 4 } }, 'unknown attributes: 0x4', DAMAGED],
    ['the highest attribute', { ...TDVF, cfv: { ...cfv, attributes: 0x80000001 } }, 'attributes: 0x80000001', DAMAGED],
    [
      'a measured HOB',
      { ...TDVF, tdHob: { ...tdHob, attributes: 1 } },
      'TD_HOB at 0x809000 is to be measured',
      'machine to machine',
    ],
    ['code that is not measured', { ...TDVF, bfv: { ...bfv, attributes: 0 } }, 'the same for any code', DAMAGED],
    [
      'permanent memory',
      { ...TDVF, more: { ...tempMem, type: 4 } },
      'section PERM_MEM at 0x810000: QEMU starts no',
      'td-shim',
    ],
    [
      'an unknown type',
      { ...TDVF, more: { ...tempMem, type: 7 } },
      'section of type 7 at 0x810000: QEMU starts no',
      'td-shim',
    ],
    ['memory of 2^60', { ...TDVF, tempMem: { ...tempMem, memory: 2n ** 60n } }, 'beyond the private memory', DAMAGED],
    [
      'memory to the end',
      { ...TDVF, tempMem: { ...tempMem, memory: 2n ** 64n - 4096n } },
      'beyond the private memory',
      DAMAGED,
    ],
    [
      'memory of 2^50',
      { ...TDVF, tempMem: { ...tempMem, gpa: 2n ** 40n, memory: 2n ** 50n } },
      'pages, which no firmware',
      DAMAGED,
    ],
    [
      'one page too many',
      { ...TDVF, tempMem: { ...tempMem, gpa: 2n ** 40n, memory: 0x8000000 - 0x11000 } },
      'for 32769 pages',
      DAMAGED,
    ],
    ['empty memory', { ...TDVF, tempMem: { ...tempMem, memory: 0 } }, 'TEMP_MEM at 0x810000 has no size', DAMAGED],
    ['an uneven address', { ...TDVF, tempMem: { ...tempMem, gpa: 0x810800 } }, 'is not made of whole pages', DAMAGED],
    ['an uneven size', { ...TDVF, tempMem: { ...tempMem, memory: 0x1800 } }, 'is not made of whole pages', DAMAGED],
    [
      'no memory',
      { ...TDVF, tempMem: { ...tempMem, gpa: 0xe0000000 } },
      'where the machines of QEMU have no memory',
      DAMAGED,
    ],
    [
      'the window of VGA',
      { ...TDVF, tdHob: { ...tdHob, gpa: 0xa0000 } },
      'where the machines of QEMU have no memory',
      DAMAGED,
    ],
    [
      'temporary memory with contents',
      { ...TDVF, tempMem: { ...tempMem, size: 0x1000 } },
      'in the image, where QEMU wants none',
      DAMAGED,
    ],
    [
      'more memory than code',
      { ...TDVF, bfv: { ...bfv, size: 0xd000, memory: 0xe000 } },
      '0xd000 bytes in the image for 0xe000',
      DAMAGED,
    ],
    [
      'code without bytes',
      { ...TDVF, bfv: { ...bfv, size: 0, memory: 0xe000 } },
      '0x0 bytes in the image for 0xe000',
      DAMAGED,
    ],
    [
      'code at no page',
      { ...TDVF, bfv: { at: 0x2800, size: 0xd000, type: 0, gpa: 0xffff3000 } },
      'byte 0x2800 of the image',
      DAMAGED,
    ],
    ['no code', { cfv, tdHob }, 'no firmware code (BFV)', DAMAGED],
    ['no HOB', { bfv, cfv, tempMem }, 'names 0 places for the TD HOB', DAMAGED],
    ['two HOBs', { ...TDVF, more: { ...tdHob, gpa: 0x900000 } }, 'names 2 places for the TD HOB', DAMAGED],
  ])('are refused: %s', (_what, sections, message, hint) => {
    expect(failure(() => usable(sections))).toEqual({
      kind: 'format',
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
    });
  });

  it('may have as many pages as the limit says, and lie side by side', () => {
    expect(usable({ ...TDVF, tempMem: { ...tempMem, gpa: 2n ** 40n, memory: 0x8000000 - 0x12000 } })).toHaveLength(4);
    expect(usable({ ...TDVF, tempMem: { ...tempMem, gpa: 0x80b000 } })).toHaveLength(4);
    expect(usable({ ...TDVF, tempMem: { ...tempMem, gpa: 2n ** 51n - 0x3000n } })).toHaveLength(4);
  });
});
