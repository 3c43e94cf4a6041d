import { describe, expect, it } from 'vitest';
import { base64ToBytes, bytesToBase64 } from '../../../src/core/base64.ts';
import { guidFromBytes, guidToBytes, NULL_GUID, parseGuid } from '../../../src/core/guid.ts';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import { failure } from '../../failure.ts';

describe('GUID', () => {
  // injection.md 1.1: the table header GUID and its stored bytes.
  const text = '1e74f542-71dd-4d66-963e-ef4287ff173b';
  const stored = hexToBytes('42f5741edd71664d963eef4287ff173b');

  it('is stored mixed-endian', () => {
    expect(guidToBytes(text)).toEqual(stored);
    expect(guidFromBytes(stored)).toBe(text);
    expect(guidFromBytes(Uint8Array.of(7, ...stored), 1)).toBe(text);
    expect(guidFromBytes(new Uint8Array(16))).toBe(NULL_GUID);
  });

  it('is read in any case', () => {
    expect(parseGuid(text.toUpperCase())).toBe(text);
  });

  it.each(['', text.slice(1), `${text}0`, `{${text}}`, text.replace('e', 'g'), text.replaceAll('-', '')])(
    'refuses %j',
    (wrong) => {
      expect(failure(() => parseGuid(wrong))).toMatchObject({
        kind: 'format',
        hint: expect.stringContaining('736869e5'),
      });
      expect(failure(() => guidToBytes(wrong)).kind).toBe('format');
    },
  );

  it('does not repeat long nonsense', () => {
    expect(failure(() => parseGuid('x'.repeat(1000))).message.length).toBeLessThan(100);
  });

  it('needs its 16 bytes', () => {
    expect(failure(() => guidFromBytes(stored, 1))).toMatchObject({
      kind: 'format',
      message: 'no room for a GUID at byte 1',
    });
    expect(failure(() => guidFromBytes(stored, -1)).kind).toBe('format');
  });
});

describe('hex', () => {
  it('goes both ways', () => {
    expect(bytesToHex(Uint8Array.of(0, 15, 16, 255))).toBe('000f10ff');
    expect(hexToBytes('000f10ff')).toEqual(Uint8Array.of(0, 15, 16, 255));
    expect(hexToBytes('0x0F')).toEqual(Uint8Array.of(15));
    expect(hexToBytes('')).toEqual(new Uint8Array());
  });

  it.each(['0', 'zz', '0x0', ' 00', '00 ', '0x0x00'])('refuses %j', (wrong) => {
    expect(failure(() => hexToBytes(wrong))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('hexadecimal'),
    });
  });
});

describe('base64', () => {
  // RFC 4648 section 10.
  it.each([
    ['', ''],
    ['f', 'Zg=='],
    ['fo', 'Zm8='],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg=='],
    ['fooba', 'Zm9vYmE='],
    ['foobar', 'Zm9vYmFy'],
  ])('%j', (plain, coded) => {
    expect(bytesToBase64(Buffer.from(plain))).toBe(coded);
    expect(Buffer.from(base64ToBytes(coded)).toString()).toBe(plain);
  });

  it('knows the whole alphabet', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(bytesToBase64(all)).toBe(Buffer.from(all).toString('base64'));
    expect(base64ToBytes(bytesToBase64(all))).toEqual(all);
    expect(base64ToBytes('+/+/')).toEqual(Uint8Array.of(0xfb, 0xff, 0xbf));
  });

  it.each(['Zg', 'Zg=', 'Zg===', 'Z===', '====', 'Zm9v\n', 'Zm 9', 'Zm-_', 'Zg==Zg==', '=Zm9'])(
    'refuses %j',
    (wrong) => {
      expect(failure(() => base64ToBytes(wrong))).toMatchObject({ kind: 'format', message: 'not base64' });
    },
  );

  it.each(['Zh==', 'Zm9=', 'Zv=='])('refuses unused bits in %j', (wrong) => {
    expect(failure(() => base64ToBytes(wrong)).message).toBe('not base64: unused bits are set');
  });

  it('takes megabytes', () => {
    const large = new Uint8Array(3_000_001).fill(0xa5);
    expect(Buffer.compare(base64ToBytes(bytesToBase64(large)), large)).toBe(0);
  });
});
