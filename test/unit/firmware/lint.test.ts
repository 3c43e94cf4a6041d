import { describe, expect, it } from 'vitest';
import { FIRMWARE_CLASSES, lintFirmware } from '../../../src/core/firmware/lint.ts';
import { guidToBytes } from '../../../src/core/guid.ts';
import { failure } from '../../failure.ts';
import {
  AMDSEV,
  driverVolume,
  file,
  firmwareImage,
  HASH_GUIDS,
  type Inside,
  join,
  lastPage,
  section,
  sections,
  VARIABLES,
  VERIFIER,
  volume,
} from '../../firmware-image.ts';

const MARKER = Uint8Array.from(Buffer.from('etc/boot/'));
const classOf = (image: Uint8Array) => lintFirmware(image).class;
const inside = (over: Inside) => classOf(firmwareImage(AMDSEV, over));
const found = (image: Uint8Array) =>
  lintFirmware(image)
    .findings.filter((one) => one.found)
    .map((one) => one.name);

describe('the class', () => {
  it('has a name for people', () => {
    expect(Object.values(FIRMWARE_CLASSES)).toEqual([
      'enforcing',
      'enforcing, but some blobs go unverified',
      'advertises only',
      'none',
    ]);
  });

  it('is enforcing when everything promised is kept', () => {
    const lint = lintFirmware(firmwareImage());
    expect(lint.class).toBe('enforcing');
    expect(lint.advice).toBe('use this image; its kernel hashes mean what they say');
    expect(found(firmwareImage())).toEqual(['hash-area', 'verifier', 'secret-area', 'secret-driver']);
    const { secretArea: _, ...tables } = AMDSEV;
    expect(classOf(firmwareImage(tables, { secretPei: false, secretDxe: false }))).toBe('enforcing');
  });

  it('is not enforcing with the marker of unverified blobs anywhere', () => {
    const raw = file(MARKER, { type: 0x01 });
    expect(inside({ more: [raw] })).toBe('enforcing-some-unverified');
    expect(inside({ code: join(VERIFIER, MARKER) })).toBe('enforcing-some-unverified');
    expect(inside({ more: [file(new Uint8Array(), { type: 0xf0 }), file(MARKER, { type: 0xf0 })] })).toBe(
      'enforcing-some-unverified',
    );
    const between = firmwareImage();
    between.set(MARKER, 0xe000);
    expect(classOf(between)).toBe('enforcing-some-unverified');
    expect(found(between)).toContain('unverified-blobs');
    expect(lintFirmware(between).advice).toContain('do not release secrets to this build');
  });

  it('looks for the whole marker', () => {
    for (const text of ['eetc/boot', 'etc/Boot/', 'ettc/boo/', 'tc/boot/']) {
      expect(inside({ more: [file(Uint8Array.from(Buffer.from(text)), { type: 0x01 })] })).toBe('enforcing');
    }
    // At the very end of what was decompressed: nothing may be read past it.
    const body = sections(section(0x17, driverVolume({})), section(0x19, MARKER.subarray(0, 8)));
    expect(classOf(join(volume([file(body, { type: 0x0b })]), lastPage(AMDSEV)))).toBe('enforcing');
    const whole = sections(section(0x17, driverVolume({})), section(0x19, MARKER));
    expect(classOf(join(volume([file(whole, { type: 0x0b })]), lastPage(AMDSEV)))).toBe('enforcing-some-unverified');
  });

  it('is advertises-only when the code that checks hashes is missing', () => {
    expect(inside({ code: new Uint8Array(4) })).toBe('advertises-only');
    for (const missing of HASH_GUIDS) {
      const code = join(...HASH_GUIDS.filter((guid) => guid !== missing).map(guidToBytes));
      expect(inside({ code })).toBe('advertises-only');
    }
    const lint = lintFirmware(firmwareImage(AMDSEV, { code: new Uint8Array(4) }));
    expect(lint.findings.map(({ name, found }) => [name, found])).toEqual([
      ['hash-area', true],
      ['verifier', false],
      ['secret-area', true],
      ['secret-driver', true],
      ['unverified-blobs', false],
    ]);
    expect(lint.findings[4]?.text).toContain('does not matter: none is verified');
  });

  it('takes only code in one section for code that checks hashes', () => {
    const data = file(section(0x19, VERIFIER));
    expect(inside({ code: new Uint8Array(4), more: [data] })).toBe('advertises-only');
    const raw = file(VERIFIER, { type: 0x01 });
    expect(inside({ code: new Uint8Array(4), more: [raw] })).toBe('advertises-only');
    const [first = '', ...rest] = HASH_GUIDS;
    const apart = sections(section(0x10, guidToBytes(first)), section(0x10, join(...rest.map(guidToBytes))));
    expect(inside({ code: new Uint8Array(4), more: [file(apart)] })).toBe('advertises-only');
    const terse = file(section(0x12, VERIFIER));
    expect(inside({ code: new Uint8Array(4), more: [terse] })).toBe('enforcing');
  });

  it('is advertises-only when a driver of the launch secret is missing, or only named', () => {
    expect(inside({ secretPei: false })).toBe('advertises-only');
    expect(inside({ secretDxe: false })).toBe('advertises-only');
    const named = file(section(0x19, guidToBytes('6e2b9619-8810-4e9d-a177-d432bb9abeda')));
    expect(inside({ secretDxe: false, more: [named] })).toBe('advertises-only');
    const padding = file(new Uint8Array(), { type: 0xf0, name: '6e2b9619-8810-4e9d-a177-d432bb9abeda' });
    expect(inside({ secretDxe: false, more: [padding] })).toBe('advertises-only');
    expect(lintFirmware(firmwareImage(AMDSEV, { secretPei: false })).advice).toContain('does not honour them');
  });

  it('is advertises-only when the hash area is too small for the table', () => {
    expect(classOf(firmwareImage({ ...AMDSEV, hashArea: [0x810c00, 175] }))).toBe('advertises-only');
    expect(classOf(firmwareImage({ ...AMDSEV, hashArea: [0x810c00, 176] }))).toBe('enforcing');
  });

  it('is none without an area for hashes, whatever is linked', () => {
    const { hashArea: _, ...tables } = AMDSEV;
    expect(classOf(firmwareImage(tables))).toBe('none');
    expect(classOf(firmwareImage({ ...AMDSEV, hashArea: [0, 0] }))).toBe('none');
    expect(lintFirmware(firmwareImage(tables)).advice).toContain('does not check what is booted');
    expect(classOf(firmwareImage(tables, { secretPei: false }))).toBe('advertises-only');
    expect(classOf(firmwareImage({}, { secretPei: false, code: new Uint8Array(4) }))).toBe('none');
  });

  it('says in words what was found and what was not', () => {
    const texts = (image: Uint8Array) => lintFirmware(image).findings.map((one) => one.text);
    expect(texts(firmwareImage())).toEqual([
      'the footer offers an area for kernel hashes',
      'code that checks kernel, initrd and command line against the hashes is in the image',
      'the footer offers an area for a launch secret',
      'drivers that reserve the launch secret and announce it to the guest are in the image',
      'no sign of blobs that go unverified',
    ]);
    expect(texts(firmwareImage({}, { secretPei: false, code: MARKER }))).toEqual([
      'the footer offers no area for kernel hashes',
      'no code that checks kernel, initrd and command line against hashes is in the image',
      'the footer offers no area for a launch secret',
      'drivers that reserve the launch secret and announce it to the guest are not in the image',
      'whether single blobs go unverified does not matter: none is verified',
    ]);
  });
});

describe('an image without its main part', () => {
  it('is not judged', () => {
    expect(failure(() => lintFirmware(firmwareImage(AMDSEV, { dxeCore: false }))).message).toContain('no DXE core');
    expect(failure(() => lintFirmware(volume([], { fileSystem: VARIABLES }))).message).toContain('no DXE core');
  });
});
