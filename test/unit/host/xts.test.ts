import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkXts, opensslSectors } from '../../../src/host/xts/check.ts';
import { BLOCK_AT, whitenModule } from '../../../src/host/xts/whiten.ts';
import { BLOCK_SIZE, openXts } from '../../../src/host/xts/xts.ts';
import { failure } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

/** An AES-256-XTS known answer. */
interface Answer {
  readonly title: string;
  readonly key: string;
  /** Hexadecimal, little-endian, up to 16 bytes. */
  readonly iv: string;
  readonly plain: string;
  readonly encrypted: string;
}

interface Wycheproof {
  readonly testGroups: readonly {
    readonly keySize: number;
    readonly tests: readonly { tcId: number; key: string; iv: string; msg: string; ct: string; result: string }[];
  }[];
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const text = (name: string): string => Buffer.from(fixture(name)).toString('utf8');

const wycheproof = (JSON.parse(text('luks/wycheproof-aes_xts_test.json')) as Wycheproof).testGroups
  .filter(({ keySize }) => keySize === 512)
  .flatMap(({ tests }) => tests)
  .map(({ tcId, key, iv, msg, ct }): Answer => ({ title: `case ${tcId}`, key, iv, plain: msg, encrypted: ct }));

const openssl = text('luks/openssl-3.0-evpciph-aes-xts.txt')
  .split(/\n\s*\n/)
  .map((block) => Object.fromEntries([...block.matchAll(/^(\w+) = (.*)$/gm)].map(([, name, value]) => [name, value])))
  .filter((block) => block['Cipher'] === 'aes-256-xts' && block['Result'] === undefined)
  .map((block, i): Answer => {
    const { Key: key = '', IV: iv = '', Plaintext: plain = '', Ciphertext: encrypted = '' } = block;
    return { title: `block ${i}`, key, iv, plain, encrypted };
  });

/** The sector number, if 64 bits hold it. */
function sectorNumber(iv: string): bigint | undefined {
  const bytes = hex(iv.padEnd(32, '0'));
  return bytes.readBigUInt64LE(8) === 0n ? bytes.readBigUInt64LE(0) : undefined;
}

/** Bytes at the start that do not depend on the message's end: stolen ciphertext, which disks never have, touches two blocks. */
const independent = (length: number): number => (length % 16 === 0 ? length : Math.floor(length / 16) * 16 - 16);

const usable = (answers: readonly Answer[]): readonly Answer[] =>
  answers.filter(({ iv, plain }) => sectorNumber(iv) !== undefined && independent(plain.length / 2) > 0);

describe.each([
  ['Wycheproof', wycheproof, 41, 18],
  ['OpenSSL', openssl, 5, 5],
])('AES-256-XTS known answers of %s', (_, answers, all, count) => {
  it('are as many as they were', () => {
    expect(answers).toHaveLength(all);
    expect(usable(answers)).toHaveLength(count);
  });

  it.each(usable(answers).map((answer) => [answer.title, answer] as const))('%s', (_title, answer) => {
    const [plain, encrypted, first] = [hex(answer.plain), hex(answer.encrypted), sectorNumber(answer.iv) ?? 0n];
    const size = independent(plain.length);
    for (const sectorSize of [512, 4096] as const) {
      const encrypt = openXts('encrypt', hex(answer.key), sectorSize);
      encrypt.block.set(plain);
      encrypt.run(first, sectorSize);
      expect(Buffer.from(encrypt.block.subarray(0, size))).toEqual(encrypted.subarray(0, size));
      const decrypt = openXts('decrypt', hex(answer.key), sectorSize);
      decrypt.block.set(encrypted);
      decrypt.run(first, sectorSize);
      expect(Buffer.from(decrypt.block.subarray(0, size))).toEqual(plain.subarray(0, size));
    }
  });
});

describe('openXts', () => {
  const key = Buffer.from(Array.from({ length: 64 }, (_, i) => i));

  it.each([512, 4096] as const)('does a whole block of sectors of %i as OpenSSL', (sectorSize) => {
    const xts = openXts('encrypt', key, sectorSize);
    for (let i = 0; i < BLOCK_SIZE; i++) xts.block[i] = i * 7 + (i >> 9);
    const plain = Buffer.from(xts.block);
    xts.run(2n ** 32n - 1024n, BLOCK_SIZE);
    expect(Buffer.compare(xts.block, opensslSectors(key, plain, 2n ** 32n - 1024n, sectorSize))).toBe(0);
  });

  it('counts sector numbers beyond 2^32 and 2^53, and wraps at 2^64', () => {
    const xts = openXts('encrypt', key, 512);
    for (const first of [2n ** 32n - 3n, 2n ** 53n - 3n, 2n ** 64n - 3n]) {
      xts.block.fill(0x5a);
      xts.run(first, 8 * 512);
      const wanted = opensslSectors(key, Buffer.alloc(8 * 512, 0x5a), first, 512);
      expect(Buffer.compare(xts.block.subarray(0, 8 * 512), wanted)).toBe(0);
    }
  });

  it('leaves what lies behind the sectors as it was', () => {
    const xts = openXts('encrypt', key, 512);
    for (const size of [0, 512, 5 * 512, (1 << 17) + 512]) {
      xts.block.fill(0x33);
      xts.run(9n, size);
      expect(xts.block.subarray(size).every((byte) => byte === 0x33)).toBe(true);
    }
  });

  it('does not need the key any more once it is open', () => {
    const own = Buffer.from(key);
    const xts = openXts('encrypt', own, 512);
    own.fill(0);
    xts.run(0n, 512);
    expect(Buffer.compare(xts.block.subarray(0, 512), opensslSectors(key, Buffer.alloc(512), 0n, 512))).toBe(0);
  });

  it('wipes data and tweaks', () => {
    const xts = openXts('encrypt', key, 512);
    xts.run(0n, BLOCK_SIZE);
    const memory = new Uint8Array(xts.block.buffer);
    expect(memory.subarray(0, BLOCK_AT).some((byte) => byte !== 0)).toBe(true);
    xts.wipe();
    expect(memory.every((byte) => byte === 0)).toBe(true);
  });

  it('keeps the block at the start of a memory page, as O_DIRECT needs it', () => {
    expect(openXts('encrypt', key, 512).block.byteOffset % 4096).toBe(0);
  });

  it('refuses a key of another length and two times the same key', () => {
    expect(failure(() => openXts('encrypt', key.subarray(0, 32), 512))).toMatchObject({
      kind: 'usage',
      message: 'AES-256-XTS takes a key of 64 bytes',
    });
    const twice = Buffer.concat([key.subarray(0, 32), key.subarray(0, 32)]);
    expect(failure(() => openXts('decrypt', twice, 4096))).toMatchObject({
      kind: 'usage',
      message: 'an AES-XTS key is two times the same key',
    });
  });

  it.each([-512, 100, 512, BLOCK_SIZE + 4096])('refuses to do %i bytes of sectors of 4096', (size) => {
    expect(failure(() => openXts('encrypt', key, 4096).run(0n, size)).kind).toBe('usage');
  });
});

describe('checkXts', () => {
  it.each([512, 4096] as const)('passes here with sectors of %i', (sectorSize) => {
    expect(() => checkXts(sectorSize)).not.toThrow();
  });

  /** The module with one byte changed; most changes do not even compile, so only constants are changed. */
  function broken(find: readonly number[], index: number, value: number): Uint8Array<ArrayBuffer> {
    const bytes = whitenModule();
    const at = Buffer.from(bytes).indexOf(Buffer.from(find));
    expect(at).toBeGreaterThan(0);
    bytes[at + index] = value;
    return bytes;
  }

  it.each([
    ['the polynomial', [0x87, 0, 0, 0], 0, 0x86],
    ['the carry between the halves', [0x87, 0, 0, 0, 0, 0, 0, 0, 1], 8, 0],
    ['the place of a tweak', [0x41, 48, 0x6a], 1, 32],
  ])('stops a build when %s is wrong', (_what, find, index, value) => {
    const bytes = broken(find, index, value);
    for (const sectorSize of [512, 4096] as const) {
      const check = () =>
        checkXts(sectorSize, (direction, key, size) => openXts(direction, key, size, bytes as Uint8Array<ArrayBuffer>));
      expect(failure(check)).toMatchObject({
        kind: 'tool',
        message: expect.stringContaining('other bytes than OpenSSL'),
      });
    }
  });
});

describe('the WebAssembly module', () => {
  it('comes out of its source as the bytes that were reviewed and measured', () => {
    const bytes = whitenModule();
    expect(bytes).toHaveLength(527);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      'c17e52e9e3c683083f6379824205fc84cd6f2c26748116e7e20db9957016d13e',
    );
  });
});
