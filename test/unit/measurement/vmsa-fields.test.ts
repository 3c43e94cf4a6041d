import { describe, expect, it } from 'vitest';
import { nonZeroFields, VMSA_FIELDS, vmsaOfFields } from '../../../src/core/measurement/vmsa-fields.ts';
import { failure, HINT } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

describe('fields of the VMSA', () => {
  it('cover the page', () => {
    let next = 0;
    for (const { at, size } of VMSA_FIELDS) {
      expect(at).toBe(next);
      next += size;
    }
    expect(next).toBe(4096);
  });

  it('of sevctl’s page for the second vCPU', () => {
    const page = fixture('sevctl/vmsa1.bin');
    const fields = Object.fromEntries(nonZeroFields(page).map(({ field, value }) => [field, value]));
    expect(fields).toMatchObject({
      'cs.selector': '0xf000',
      'cs.attributes': '0x9b',
      'cs.limit': '0xffff',
      'cs.base': '0x800000',
      rip: '0xb004',
      g_pat: '0x7040600070406',
      rdx: '0xa00f11',
    });
    expect(Object.keys(fields)).not.toContain('mxcsr');
    expect(vmsaOfFields(nonZeroFields(page))).toEqual(new Uint8Array(page));
  });

  it('that are no numbers have all their bytes', () => {
    const page = new Uint8Array(4096);
    page[0xc8 + 1] = 7;
    page[0x420 + 79] = 9;
    const fields = nonZeroFields(page);
    expect(fields).toEqual([
      { field: 'reserved_0c8', value: '0007' },
      { field: 'fpreg_x87', value: `${'00'.repeat(79)}09` },
    ]);
    expect(vmsaOfFields(fields)).toEqual(page);
  });

  it.each([
    ['nothing', '0x1'],
    ['cs', '0x1'],
    ['rip', '1'],
    ['rip', '0x'],
    ['rip', '0x11111111111111111'],
    ['rip', '0xZ'],
    ['mxcsr', '0x100000000'],
    ['reserved_0c8', '00'],
    ['reserved_0c8', 'zzzz'],
    ['reserved_0c8', '0x0007'],
  ])('are refused: %s %s', (field, value) => {
    expect(failure(() => vmsaOfFields([{ field, value }]))).toMatchObject({ kind: 'format', hint: HINT });
  });
});
