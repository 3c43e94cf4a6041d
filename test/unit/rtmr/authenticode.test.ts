import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { authenticode } from '../../../src/core/rtmr/authenticode.ts';
import { failure, HINT } from '../../failure.ts';
import { join } from '../../firmware-image.ts';
import { peProgram } from '../../pe-program.ts';

const hashOf = (program: Uint8Array) => bytesToHex(authenticode(program, () => createHash('sha384')));
const sha384 = (...parts: readonly Uint8Array[]) =>
  createHash('sha384')
    .update(join(...parts))
    .digest('hex');
const filled = (size: number, value: number) => new Uint8Array(size).fill(value);

/** Where in peProgram's output the checksum and the entry of the certificate table are: 0x80 + 24 + 64, and + 112 + 32. */
const CHECKSUM = 0xd8;
const ENTRY = 0x128;

const first = { at: 0x400, contents: filled(0x200, 0xa1) };
const second = { at: 0x600, contents: filled(0x180, 0xb2) };

describe('the Authenticode hash', () => {
  const program = peProgram({ sections: [first, second], checksum: 0x12345678 });

  it('covers headers and sections, without the checksum and the entry of the certificate table', () => {
    const headers = [
      program.subarray(0, CHECKSUM),
      program.subarray(CHECKSUM + 4, ENTRY),
      program.subarray(ENTRY + 8, 0x400),
    ];
    expect(hashOf(program)).toBe(sha384(...headers, first.contents, second.contents));
  });

  it('is the same for another checksum, and for a signed program', () => {
    expect(hashOf(peProgram({ sections: [first, second], checksum: 1 }))).toBe(hashOf(program));
    const signed = peProgram({ sections: [first, second], certificates: filled(0x98, 0xcc) });
    expect(signed.length).toBe(program.length + 0x98);
    expect(hashOf(signed)).toBe(hashOf(program));
  });

  it('takes sections by their place in the file, and leaves out empty ones', () => {
    const swapped = peProgram({ sections: [second, first] });
    const headers = [
      swapped.subarray(0, CHECKSUM),
      swapped.subarray(CHECKSUM + 4, ENTRY),
      swapped.subarray(ENTRY + 8, 0x400),
    ];
    expect(hashOf(swapped)).toBe(sha384(...headers, first.contents, second.contents));
    const withEmpty = peProgram({ sections: [{ at: 0, contents: new Uint8Array() }, first] });
    const parts = [
      withEmpty.subarray(0, CHECKSUM),
      withEmpty.subarray(CHECKSUM + 4, ENTRY),
      withEmpty.subarray(ENTRY + 8, 0x400),
    ];
    expect(hashOf(withEmpty)).toBe(sha384(...parts, first.contents));
  });

  it('covers what lies behind the sections and before the certificates', () => {
    const parts = { sections: [first], trailing: filled(24, 0xdd) };
    const plain = peProgram(parts);
    const headers = [
      plain.subarray(0, CHECKSUM),
      plain.subarray(CHECKSUM + 4, ENTRY),
      plain.subarray(ENTRY + 8, 0x400),
    ];
    expect(hashOf(plain)).toBe(sha384(...headers, first.contents, parts.trailing));
    expect(hashOf(peProgram({ ...parts, certificates: filled(16, 0xcc) }))).toBe(hashOf(plain));
  });

  it('covers the headers without a gap where there is no certificate table', () => {
    const short = peProgram({ sections: [first], directories: 4 });
    expect(hashOf(short)).toBe(sha384(short.subarray(0, CHECKSUM), short.subarray(CHECKSUM + 4)));
    const justEnough = peProgram({ sections: [first], directories: 5 });
    expect(hashOf(justEnough)).toBe(
      sha384(
        justEnough.subarray(0, CHECKSUM),
        justEnough.subarray(CHECKSUM + 4, ENTRY),
        justEnough.subarray(ENTRY + 8),
      ),
    );
  });

  it('of headers alone is theirs', () => {
    const bare = peProgram();
    expect(hashOf(bare)).toBe(
      sha384(bare.subarray(0, CHECKSUM), bare.subarray(CHECKSUM + 4, ENTRY), bare.subarray(ENTRY + 8)),
    );
  });
});

describe('what OVMF starts unmeasured, or not at all, is refused', () => {
  const program = peProgram({ sections: [first] });
  const changed = (at: number, ...values: number[]) => {
    const out = program.slice();
    out.set(values, at);
    return out;
  };
  const refused = (bytes: Uint8Array) => failure(() => hashOf(bytes));
  const none = { kind: 'format', message: 'kernel: it has no PE header, so it is no EFI program', hint: HINT };
  const misfit = { kind: 'format', message: 'kernel: its headers do not fit' };

  it.each([
    ['nothing', new Uint8Array()],
    ['too little', program.subarray(0, 63)],
    ['no MZ', changed(0, 0x7f)],
    ['no PE', changed(0x80, 0x51)],
    ['a PE header outside', changed(0x3c, 0, 0, 0xff)],
    ['headers cut off', program.subarray(0, 0x80 + 24 + 111)],
  ])('%s', (_, bytes) => expect(refused(bytes)).toEqual(none));

  it.each([
    ['another machine', peProgram({ machine: 0x14c })],
    ['PE32', peProgram({ magic: 0x10b })],
  ])('%s', (_, bytes) => expect(refused(bytes)).toMatchObject({ message: 'kernel: it is no program for x86-64' }));

  it.each([
    ['headers larger than the file', peProgram({ sizeOfHeaders: 0x400 }).subarray(0, 0x3ff)],
    [
      'headers that end in the table of sections',
      peProgram({ sections: [first], sizeOfHeaders: 0x80 + 24 + 240 + 39 }),
    ],
    ['headers that end before the certificate table', peProgram({ sizeOfHeaders: ENTRY + 7 })],
    ['a section table among the headers', changed(0x80 + 20, 111)],
  ])('%s', (_, bytes) => expect(refused(bytes)).toMatchObject(misfit));

  it('a section that is not all there', () => {
    expect(refused(program.subarray(0, -1))).toMatchObject({ message: 'kernel: a section of it is not all there' });
  });

  it('sections that together are more than the file', () => {
    const alike = (length: number) => peProgram({ sections: Array.from({ length }, () => first) });
    expect(alike(1)).toHaveLength(0x600);
    expect(hashOf(alike(4))).toMatch(/^[0-9a-f]{96}$/);
    expect(refused(alike(5))).toMatchObject({ message: 'kernel: its sections lie over each other' });
  });

  it('certificates larger than what is left', () => {
    const signed = peProgram({ sections: [first], trailing: filled(8, 0xdd), certificates: filled(8, 0xcc) });
    signed.set([17], ENTRY + 4);
    expect(refused(signed)).toMatchObject({ message: 'kernel: its certificates are more than is left of it' });
    signed.set([16], ENTRY + 4);
    expect(hashOf(signed)).toMatch(/^[0-9a-f]{96}$/);
  });
});
