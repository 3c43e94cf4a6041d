import { describe, expect, it } from 'vitest';
import {
  encodeLuks1,
  LUKS1_HEADER_SIZE,
  luks1KeyslotOffset,
  parseLuks1,
  readLuks1,
} from '../../../src/core/luks/luks1.ts';
import { failure } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';
import { memoryDisk } from '../../luks-image.ts';

const image = fixture('luks/qemu72-l1.img');
const header = image.slice(0, 592);
const SLOT = (id: number) => 208 + 48 * id;

/** The header of qemu-img with big-endian 32-bit numbers changed. */
function changed(changes: Readonly<Record<number, number>>): Uint8Array {
  const copy = header.slice();
  for (const [at, value] of Object.entries(changes)) new DataView(copy.buffer).setUint32(Number(at), value);
  return copy;
}

describe('LUKS1', () => {
  it('of qemu-img is read', () => {
    const found = parseLuks1(header);
    expect(LUKS1_HEADER_SIZE).toBe(592);
    expect(found).toMatchObject({
      version: 1,
      encryption: 'aes-xts-plain64',
      hash: 'sha256',
      payloadOffset: 2068480,
      keySize: 64,
      digestIterations: 107360,
      uuid: 'bfa4b148-644a-470d-98e2-358697cfab38',
    });
    expect(Buffer.from(found.digest).toString('hex')).toBe('b4c34bc244035f035354932be1fed337d482762d');
    expect(Buffer.from(found.digestSalt.subarray(0, 4)).toString('hex')).toBe('b5e82597');
    expect(found.keyslots).toHaveLength(8);
    expect(found.keyslots[0]).toMatchObject({ id: 0, active: true, iterations: 435744, offset: 4096 });
    expect(found.keyslots[7]).toMatchObject({ id: 7, active: false, offset: (8 + 7 * 504) * 512 });
    expect(encodeLuks1(found)).toEqual(header);
  });

  it('places keyslots at multiples of 4096', () => {
    expect([0, 1, 2, 8].map((id) => luks1KeyslotOffset(id, 64) / 512)).toEqual([8, 512, 1016, 4040]);
    expect([0, 1, 8].map((id) => luks1KeyslotOffset(id, 32) / 512)).toEqual([8, 264, 2056]);
  });

  it.each([
    ['magic', { 0: 0 }, 'wrong magic number'],
    ['version', { 4: 0xbabe0002 }, 'version 2 instead of 1'],
    ['an empty key', { 108: 0 }, 'a key of 0 bytes'],
    ['a huge key', { 108: 513 }, 'a key of 513 bytes'],
    ['no digest iterations', { 164: 0 }, 'a digest of no iterations'],
    ['a keyslot of no state', { [SLOT(3)]: 0 }, 'keyslot 3 is neither enabled nor disabled'],
    ['stripes', { [SLOT(0) + 44]: 3999 }, 'keyslot 0 has 3999 stripes instead of 4000'],
    ['a keyslot in the header', { [SLOT(0) + 40]: 1 }, 'keyslot 0 starts at 512, inside the header'],
    ['a keyslot in the data', { [SLOT(7) + 40]: 3541 }, 'keyslot 7 reaches into the data, which start at 2068480'],
    ['no iterations', { [SLOT(0) + 4]: 0 }, 'keyslot 0 has no iterations'],
    ['overlapping keyslots', { [SLOT(1) + 40]: 507 }, 'keyslot 0 overlaps keyslot 1'],
    ['overlapping keyslots, the later first', { [SLOT(2) + 40]: 13 }, 'keyslot 0 overlaps keyslot 2'],
  ] as const)('refuses %s', (_title, changes, message) => {
    expect(failure(() => parseLuks1(changed(changes)))).toMatchObject({
      kind: 'format',
      message: `LUKS1 header: ${message}`,
    });
  });

  it('takes the borders, and a detached header with keyslots anywhere', () => {
    parseLuks1(changed({ [SLOT(0) + 40]: 2 }));
    parseLuks1(changed({ [SLOT(1) + 40]: 508 }));
    parseLuks1(changed({ [SLOT(7) + 40]: 3540 }));
    parseLuks1(changed({ [SLOT(7) + 4]: 0 }));
    parseLuks1(changed({ 108: 1, 164: 1 }));
    expect(parseLuks1(changed({ 104: 0, [SLOT(7) + 40]: 0x7fffffff })).payloadOffset).toBe(0);
  });

  it('must hold the keyslots in use', async () => {
    const cut = (size: number) => readLuks1(memoryDisk(image.subarray(0, size)));
    await expect(cut(4096 + 256000)).resolves.toMatchObject({ version: 1 });
    await expect(cut(4096 + 255999)).rejects.toMatchObject({
      kind: 'format',
      message: 'LUKS1 header: keyslot 0 ends beyond the 260095 bytes of the image',
    });
    await expect(cut(591)).rejects.toMatchObject({
      message: 'the image ends after 591 bytes, before the end of the LUKS1 header',
    });
  });

  it('is not written with fewer keyslots', () => {
    const found = parseLuks1(header);
    expect(failure(() => encodeLuks1({ ...found, keyslots: found.keyslots.slice(1) }))).toMatchObject({
      kind: 'usage',
      message: 'a LUKS1 header needs 8 keyslots',
    });
  });
});
