import { describe, expect, it } from 'vitest';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { fixture, vectors } from '../../fixtures.ts';

interface Parsed {
  readonly id: string;
  readonly inputs: { readonly ovmf: string };
  readonly expected: {
    readonly size: number;
    readonly gpa: string;
    readonly table: Record<string, string>;
    readonly sev_sections: Record<string, string | number>[];
    readonly tdx_sections: Record<string, string | number>[];
    readonly sev_hash_table_rv: { base: string; size: string } | null;
    readonly sev_secret_block: { base: string; size: string } | null;
    readonly sev_es_reset_eip: string | null;
  };
}

const { ovmf_parse: entries } = vectors<{ groups: { ovmf_parse: Parsed[] } }>('measurement.json').groups;

const area = (found: { base: string; size: string } | null) =>
  found === null || Number(found.base) === 0 || Number(found.size) === 0
    ? undefined
    : { base: Number(found.base), size: Number(found.size) };

describe('parseFirmware', () => {
  it('has a known answer for 13 images', () => expect(entries).toHaveLength(13));

  it.each(entries)('reads $id as the peers do', ({ inputs, expected }) => {
    const firmware = parseFirmware(fixture(inputs.ovmf));
    expect(firmware.size).toBe(expected.size);
    expect(firmware.gpa).toBe(Number(expected.gpa));
    expect(Object.fromEntries(firmware.footer.map(({ guid, data }) => [guid, bytesToHex(data)]))).toEqual(
      expected.table,
    );
    expect(firmware.sevSections ?? []).toEqual(
      expected.sev_sections.map((section) => ({
        gpa: Number(section['gpa']),
        size: Number(section['size']),
        type: section['type'],
      })),
    );
    expect(firmware.tdxSections ?? []).toEqual(
      expected.tdx_sections.map((section) => ({
        dataOffset: Number(section['data_offset']),
        rawSize: Number(section['raw_size']),
        gpa: BigInt(section['gpa'] ?? 0),
        memorySize: BigInt(section['memory_size'] ?? 0),
        type: section['type'],
        attributes: section['attributes'],
      })),
    );
    expect(firmware.hashArea).toEqual(area(expected.sev_hash_table_rv));
    expect(firmware.secretArea).toEqual(area(expected.sev_secret_block));
    expect(firmware.resetAddress).toBe(
      expected.sev_es_reset_eip === null ? undefined : Number(expected.sev_es_reset_eip),
    );
    expect(firmware.svsmEntry).toBeUndefined();
    const has = (guid: string) => guid in expected.table;
    expect(firmware.sevSections === undefined).toBe(!has('dc886566-984a-4798-a75e-5585a7bf67cc'));
    expect(firmware.tdxSections === undefined).toBe(!has('e47a6535-984a-4798-865e-4685a7bf8ec2'));
  });
});
