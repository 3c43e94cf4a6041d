import { describe, expect, it } from 'vitest';
import { BinaryHeader, encodeHeaderCopy, headerSizeAt, parseHeaderCopy } from '../../../src/core/luks/header.ts';
import { copiesAgree, readLuks2 } from '../../../src/core/luks/luks2.ts';
import { printJson } from '../../../src/core/luks/metadata/json.ts';
import { printMetadata } from '../../../src/core/luks/metadata.ts';
import { failure } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';
import { memoryDisk, sampleImage, sampleJson } from '../../luks-image.ts';

const SIZE = 0x4000;
const sample = sampleImage();
const change = (bytes: Uint8Array, at: number, value: number) => {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
};
const reason = async (image: Uint8Array) =>
  readLuks2(memoryDisk(image)).then(
    () => 'readable',
    (error: Error) => error.message,
  );

describe('a copy of the header', () => {
  it('has the layout of luks2_hdr_disk', () => {
    expect(BinaryHeader.size).toBe(4096);
    expect(BinaryHeader.offset).toMatchObject({
      version: 6,
      headerSize: 8,
      seqid: 16,
      label: 24,
      checksumAlgorithm: 72,
      salt: 104,
      uuid: 168,
      subsystem: 208,
      headerOffset: 256,
      checksum: 448,
    });
  });

  it('of cryptsetup comes back byte for byte', () => {
    const image = fixture('luks/cs261-l2-pbkdf2-512.img');
    for (const [name, at] of [
      ['primary', 0],
      ['secondary', SIZE],
    ] as const) {
      const bytes = image.subarray(at, at + SIZE);
      const { seqid, label, subsystem, uuid, salt, metadata, checksum, ...rest } = parseHeaderCopy(bytes, name, at);
      const area = printMetadata(metadata.json, SIZE);
      expect(encodeHeaderCopy({ size: SIZE, seqid, label, subsystem, uuid, salt, area }, name)).toEqual(bytes);
      expect(checksum.length).toBe(64);
      expect(rest).toEqual({ size: SIZE, checksumAlgorithm: 'sha256' });
    }
  });

  it('is refused where it breaks a rule', () => {
    const at = (offset: number, value: number) => change(sample.subarray(0, SIZE), offset, value);
    const message = (bytes: Uint8Array, name: 'primary' | 'secondary' = 'primary', offset = 0) =>
      failure(() => parseHeaderCopy(bytes, name, offset)).message;
    expect(message(at(0, 0x53))).toBe('primary header: wrong magic number');
    expect(message(at(5, 0))).toBe('primary header: wrong magic number');
    expect(message(at(0, 0x4c), 'secondary', SIZE)).toBe('secondary header: wrong magic number');
    expect(message(at(7, 1))).toBe('primary header: version 1 instead of 2');
    expect(message(at(14, 0x20))).toBe('primary header: the size 8192 is none that is allowed');
    expect(message(at(8, 1))).toMatch('the size 72057594037944320 is none that is allowed');
    expect(message(at(263, 1))).toBe('primary header: says that it stands at 1, but is at 0');
    expect(message(at(4095, 1))).toBe('primary header: the checksum is wrong');
    expect(message(at(448, (sample[448] ?? 0) ^ 1))).toBe('primary header: the checksum is wrong');
    expect(message(at(SIZE - 1, 1))).toBe('primary header: the checksum is wrong');
    expect(message(at(72, 0x78))).toMatch('primary header: checksum: the hash "xha256" is not known');
    expect(message(at(24 + 47, 1))).toMatch('checksum is wrong');
    expect(message(sample.subarray(0, SIZE - 1))).toBe('primary header: 16383 bytes instead of 16384');
    expect(message(sample.subarray(0, 100))).toMatch('needs 4096 bytes');
    const second = encodeHeaderCopy(
      { ...parseHeaderCopy(sample.subarray(0, SIZE), 'primary', 0), area: sample.subarray(4096, SIZE) },
      'secondary',
    );
    expect(headerSizeAt(second, 'secondary', SIZE)).toBe(SIZE);
    expect(message(change(second, 14, 0x80), 'secondary', SIZE)).toBe(
      'secondary header: has 32768 bytes, but stands at 16384',
    );
  });

  it('is not looked at behind the hash in the checksum field', () => {
    expect(parseHeaderCopy(change(sample.subarray(0, SIZE), 448 + 32, 1), 'primary', 0).seqid).toBe(3n);
  });
});

describe('a LUKS2 header', () => {
  const read = async (image: Uint8Array) => readLuks2(memoryDisk(image));
  const states = async (image: Uint8Array) => {
    const header = await read(image);
    const { primary, secondary } = header.copies;
    return [primary.state, secondary.state, header.current.seqid, copiesAgree(header)];
  };

  it('takes the copy with the higher sequence number', async () => {
    expect(await states(sample)).toEqual(['good', 'good', 3n, true]);
    expect(await states(sampleImage({}, { primary: { seqid: 4n } }))).toEqual(['good', 'obsolete', 4n, false]);
    expect(await states(sampleImage({}, { secondary: { seqid: 4n } }))).toEqual(['obsolete', 'good', 4n, false]);
  });

  it('takes the primary of two that are as new but differ, and says that they do', async () => {
    const area = printMetadata(sampleJson({ 'keyslots.0.area.encryption': 'cipher_null-ecb' }), SIZE);
    const differing = { area, label: 'x', subsystem: 'x', uuid: '22345678-1234-4234-8234-123456789abc' };
    for (const [name, value] of Object.entries(differing)) {
      const image = sampleImage({}, { secondary: { [name]: value } });
      expect(await states(image)).toEqual(['good', 'good', 3n, false]);
      expect((await read(image)).current.label).toBe('root');
    }
    const header = await read(sampleImage({}, { secondary: { area } }));
    expect(header.current.metadata.keyslots).toMatchObject([{ encryption: 'aes-xts-plain64' }]);
  });

  it('recovers from one bad copy', async () => {
    expect(await states(change(sample, 100, 1))).toEqual(['bad', 'good', 3n, false]);
    expect(await states(change(sample, 0, 0))).toEqual(['bad', 'good', 3n, false]);
    expect(await states(change(sample, SIZE + 100, 1))).toEqual(['good', 'bad', 3n, false]);
    const { primary } = (await read(change(sample, 100, 1))).copies;
    expect(primary).toEqual({ state: 'bad', reason: 'primary header: the checksum is wrong' });
  });

  it('recovers from metadata that break a rule under a right checksum', async () => {
    const area = new Uint8Array(SIZE - 4096);
    area.set(Buffer.from('{}'));
    const header = await read(sampleImage({}, { primary: { area, seqid: 9n } }));
    expect(header.copies.primary).toEqual({ state: 'bad', reason: 'LUKS2 metadata: keyslots: an object is required' });
    expect(header.current.seqid).toBe(3n);
  });

  it('finds the secondary at every place that it may have', async () => {
    for (const size of [0x4000, 0x8000, 0x10000, 0x40000]) {
      const image = new Uint8Array(0x200000);
      const changes = {
        'config.json_size': String(size - 4096),
        'config.keyslots_size': '262144',
        'keyslots.0.area.offset': String(2 * size),
        'segments.0.offset': '1048576',
      };
      const area = printMetadata(sampleJson(changes), size);
      const salt = new Uint8Array(64);
      image.set(
        encodeHeaderCopy({ size, seqid: 7n, label: '', subsystem: '', uuid: 'u', salt, area }, 'secondary'),
        size,
      );
      expect(await states(image)).toEqual(['bad', 'good', 7n, false]);
    }
  });

  it('is refused when both copies are bad, with both reasons', async () => {
    expect(await reason(change(change(sample, 100, 1), SIZE + 100, 1))).toBe(
      'no copy of the LUKS2 header is readable: primary header: the checksum is wrong; secondary header: the checksum is wrong',
    );
  });

  it('is refused when the image ends inside the keyslots', async () => {
    expect(await reason(sample.subarray(0, 0x100000))).toBe('readable');
    expect(await reason(sample.subarray(0, 0x100000 - 1))).toBe(
      'the image ends after 1048575 bytes, before the end of the keyslots area at 1048576',
    );
    expect(await reason(sample.subarray(0, 4095))).toBe(
      'no copy of the LUKS2 header is readable: the image ends after 4095 bytes, before the end of the primary header; the image ends after 4095 bytes, before the end of the secondary header',
    );
  });

  it('of luksy has a secondary copy that is bad', async () => {
    const header = await read(fixture('luks/luksy2024-l2.img'));
    expect(header.copies.primary.state).toBe('good');
    expect(header.copies.secondary).toEqual({ state: 'bad', reason: 'secondary header: the checksum is wrong' });
  });

  it('of cryptsetup prints as it stood', async () => {
    for (const name of ['cs261-l2-pbkdf2-512.img', 'cs261-l2-argon2id-4096-detached.hdr', 'kern61-l2-hmac-4096.img']) {
      const image = fixture(`luks/${name}`);
      const header = await read(image);
      expect(copiesAgree(header)).toBe(true);
      const text = printJson(header.current.metadata.json);
      expect(Buffer.from(image.subarray(4096, 4096 + text.length)).toString()).toBe(text);
    }
  });
});
