/** @module The SMBIOS tables that firmware measures: against the event logs of real firmware with a TPM, and by their structures. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BootsealError } from '../../../src/core/errors.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { measuredSmbios } from '../../../src/core/rtmr/smbios.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

/** What Debian's OVMF 2026.08 extended as EV_EFI_HANDOFF_TABLES into PCR 1 (SHA-384) on QEMU 7.2, by the two entry points. */
const EXTENDED = {
  'smbios-2.8.bin': '8b1b6553e45fd9a86874a9b8b0c9642e6530b03d1d2c7cbfa0b419c0104cb4385c251faf8c8584f2dd8a3f1234ee3574',
  'smbios-3.0.bin': '6e60eda9c4ce1dd2c3705c5d5b0e756aed4db595d647725cb43ed0f057e1934342f60c647ad72c2d1ce053cae0e5edde',
};

const END = [127, 4, 0, 0, 0, 0];
const latin1 = (text: string) => [...Buffer.from(text, 'latin1')];

/** A structure of a type, with the bytes behind its header, strings, and the end of the table. */
function table(type: number, formatted: readonly number[], strings: readonly string[]): Uint8Array {
  const texts = strings.flatMap((text) => [...latin1(text), 0]);
  return Uint8Array.of(
    type,
    4 + formatted.length,
    1,
    2,
    ...formatted,
    ...(texts.length === 0 ? [0] : texts),
    0,
    ...END,
  );
}

describe('the SMBIOS tables that are measured', () => {
  it.each(Object.entries(EXTENDED))('are those of a real boot: %s', (name, digest) => {
    const dmi = fixture(`smbios/${name}`);
    const before = bytesToHex(dmi);
    expect(bytesToHex(nodeHashes.sha384(measuredSmbios(dmi)))).toBe(digest);
    expect(bytesToHex(dmi)).toBe(before);
  });

  it('have blanks for the string of a serial number, and no number of it', () => {
    const strings = ['maker', 'serial', 'tag'];
    const chassis = table(3, [1, 2, 0, 2, 3, 9], strings);
    expect(measuredSmbios(chassis)).toEqual(table(3, [1, 2, 0, 0, 0, 9], ['maker', '      ', '   ']));
  });

  it('keep what no machine of a kind has of its own', () => {
    const ports = table(8, [1, 2, 3, 4, 5], ['a', 'b']);
    expect(measuredSmbios(ports)).toEqual(ports);
  });

  it.each([11, 15, 18, 31, 33, 128, 255])('have nothing but the header of type %d', (type) => {
    const measured = measuredSmbios(table(type, [1, 2, 3], ['text']));
    expect(measured).toEqual(Uint8Array.of(type, 7, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...END));
  });

  it('keep a field that a structure is too short for', () => {
    const memory = table(17, new Array(0x15 - 4).fill(7), ['x']);
    expect(measuredSmbios(memory)).toEqual(memory);
    const system = table(1, [1, 0, 0, 0, ...new Array(16).fill(7)], ['x']);
    expect(measuredSmbios(system)).toEqual(table(1, [1, 0, 0, 0, ...new Array(16).fill(0)], ['x']));
  });

  it.each([
    ['nothing', Uint8Array.of(), 'there is no end marker (type 127)'],
    ['no end marker', table(8, [1], ['a']).slice(0, -6), 'there is no end marker (type 127)'],
    ['more behind it', Uint8Array.of(...END, ...END), '6 bytes lie behind the end marker'],
    ['a header that is cut', Uint8Array.of(1), 'no structure begins at byte 0'],
    ['a length that is none', Uint8Array.of(1, 3, 0, 0, 0, 0), 'no structure begins at byte 0'],
    ['strings without end', Uint8Array.of(1, 4, 0, 0, 65, 0), 'the structure at byte 0 does not end'],
    [
      'a string that is not there',
      table(3, [0, 0, 0, 3, 0], ['one']),
      'a structure of type 3 names string 3, and has 1',
    ],
    ['no strings at all', table(3, [0, 0, 0, 1, 0], []), 'a structure of type 3 names string 1, and has 0'],
  ])('are none: %s', (_, bytes, message) => {
    expect(failure(() => measuredSmbios(bytes))).toEqual({
      kind: 'format',
      message: `SMBIOS tables: ${message}`,
      hint: 'give the file /sys/firmware/dmi/tables/DMI of a guest, whole',
    });
  });

  it('are measured or refused, whatever the bytes', () => {
    const near = fc
      .tuple(fc.constantFrom(...Object.keys(EXTENDED)), fc.nat(500), fc.nat(255))
      .map(([name, at, byte]) => {
        const bytes = new Uint8Array(fixture(`smbios/${name}`));
        bytes[at % bytes.length] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), near), (bytes) => {
        try {
          expect(measuredSmbios(bytes)).toHaveLength(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(BootsealError);
        }
      }),
    );
  });
});
