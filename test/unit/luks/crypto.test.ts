import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkXtsKey, nobleAes } from '../../../src/core/luks/aes.ts';
import { mergeKey, splitKey } from '../../../src/core/luks/antiforensic.ts';
import { findCipher, isNullCipher } from '../../../src/core/luks/cipher.ts';
import { computeDigest, isKeyOf } from '../../../src/core/luks/digest.ts';
import { type LuksHash, luksHash, nobleHash } from '../../../src/core/luks/hashes.ts';
import { checkKdfCost, deriveKey, KDF_LIMITS, kdfCostProblem, nobleKdfs } from '../../../src/core/luks/kdf.ts';
import { type KeyslotFormat, openKeyslot, sealKeyslot } from '../../../src/core/luks/keyslot.ts';
import type { Kdf } from '../../../src/core/luks/metadata/keyslots.ts';
import { cryptSectors } from '../../../src/core/luks/sectors.ts';
import { nodeAes } from '../../../src/host/node-luks.ts';
import { failure } from '../../failure.ts';
import { nobleLuksCrypto, nodeLuksCrypto } from '../../luks-image.ts';

const pattern = (length: number, step = 7) => Uint8Array.from({ length }, (_, i) => (i * step + (i >> 8)) & 0xff);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** The splitter once more, written from the specification with node:crypto. */
function specMerge(split: Uint8Array, keySize: number, stripes: number, hash: string): Buffer {
  let d = Buffer.alloc(keySize);
  const xor = (stripe: number) => Buffer.from(d.map((byte, i) => byte ^ (split[stripe * keySize + i] ?? 0)));
  for (let stripe = 0; stripe < stripes - 1; stripe++) {
    const mixed = xor(stripe);
    const hunks: Buffer[] = [];
    const size = createHash(hash).digest().length;
    for (let i = 0; i * size < keySize; i++) {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(i);
      const hunk = mixed.subarray(i * size, (i + 1) * size);
      hunks.push(createHash(hash).update(number).update(hunk).digest().subarray(0, hunk.length));
    }
    d = Buffer.concat(hunks);
  }
  return xor(stripes - 1);
}

describe('the anti-forensic splitter', () => {
  it.each(['sha1', 'sha256', 'sha384', 'sha512'] as const)(
    'splits and merges with %s, cutting the last hunk',
    (hash) => {
      for (const size of [16, 32, 64, 96, 65]) {
        const key = pattern(size, 13);
        const split = splitKey(key, 5, hash, pattern(4 * size));
        expect(split.length).toBe(5 * size);
        expect(split.subarray(0, 4 * size)).toEqual(pattern(4 * size));
        expect(hex(specMerge(split, size, 5, hash))).toBe(hex(key));
        expect(mergeKey(split, size, 5, hash)).toEqual(key);
      }
    },
  );

  it('needs every bit and the right amount of filler', () => {
    const split = splitKey(pattern(64), 4, 'sha256', pattern(192));
    for (const at of [0, 100, 191, 255]) {
      const changed = Uint8Array.from(split, (byte, i) => (i === at ? byte ^ 1 : byte));
      expect(mergeKey(changed, 64, 4, 'sha256')).not.toEqual(pattern(64));
    }
    expect(failure(() => splitKey(pattern(64), 4, 'sha256', pattern(191)))).toMatchObject({
      kind: 'usage',
      message: 'anti-forensic split: needs 192 random bytes',
    });
    expect(failure(() => mergeKey(split.subarray(0, 255), 64, 4, 'sha256'))).toMatchObject({
      kind: 'format',
      message: 'anti-forensic merge: 255 bytes are not 4 stripes of 64',
    });
  });
});

describe('AES without a platform', () => {
  it('is that of node:crypto', () => {
    const [iv, data] = [pattern(16, 3), pattern(512, 11)];
    for (const direction of ['encrypt', 'decrypt'] as const) {
      for (const size of [32, 64]) {
        expect(nobleAes.xts(direction, pattern(size), iv, data)).toEqual(
          new Uint8Array(nodeAes.xts(direction, pattern(size), iv, data)),
        );
      }
      for (const size of [16, 24, 32]) {
        expect(nobleAes.cbc(direction, pattern(size), iv, data)).toEqual(
          new Uint8Array(nodeAes.cbc(direction, pattern(size), iv, data)),
        );
        expect(nobleAes.ecb(direction, pattern(size), data)).toEqual(
          new Uint8Array(nodeAes.ecb(direction, pattern(size), data)),
        );
      }
    }
  });

  it.each([nobleAes, nodeAes])('refuses an XTS key whose halves are the same, both ways', (aes) => {
    for (const direction of ['encrypt', 'decrypt'] as const) {
      const key = new Uint8Array(64).fill(5);
      expect(failure(() => aes.xts(direction, key, pattern(16), pattern(32)))).toMatchObject({
        kind: 'format',
        message: 'an XTS key is two times the same key',
      });
    }
    checkXtsKey(Uint8Array.from({ length: 64 }, (_, i) => (i === 63 ? 1 : 0)));
  });
});

describe('sectors', () => {
  const key = pattern(64, 29);
  const format = (name: string, size: number, sectorSize: number, ivTweak = 0n) => ({
    cipher: findCipher(name, size, 'test'),
    key: key.subarray(0, size),
    sectorSize,
    ivTweak,
  });
  const iv = (number: bigint) => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(number);
    return bytes;
  };

  it('are encrypted one by one, numbered in units of 512 bytes', () => {
    const data = pattern(8192, 5);
    const big = cryptSectors('encrypt', format('aes-xts-plain64', 64, 4096), data, 16, nobleAes);
    expect(big).toEqual(
      new Uint8Array(
        Buffer.concat([
          nodeAes.xts('encrypt', key, iv(16n), data.subarray(0, 4096)),
          nodeAes.xts('encrypt', key, iv(24n), data.subarray(4096)),
        ]),
      ),
    );
    const small = cryptSectors('encrypt', format('aes-xts-plain64', 64, 512), data.subarray(0, 1024), 2, nodeAes);
    expect(small.subarray(512)).toEqual(new Uint8Array(nodeAes.xts('encrypt', key, iv(3n), data.subarray(512, 1024))));
    expect(cryptSectors('decrypt', format('aes-xts-plain64', 64, 4096), big, 16, nodeAes)).toEqual(data);
  });

  it('have IVs of 64 bits, 32 bits or through the hashed key', () => {
    const data = pattern(512);
    const far = 0x1_0000_0005n;
    const crypt = (name: string, size: number) =>
      cryptSectors('encrypt', format(name, size, 512, far), data, 0, nobleAes);
    expect(crypt('aes-xts-plain64', 64)).toEqual(new Uint8Array(nodeAes.xts('encrypt', key, iv(far), data)));
    expect(crypt('aes-xts-plain', 64)).toEqual(new Uint8Array(nodeAes.xts('encrypt', key, iv(5n), data)));
    const short = key.subarray(0, 16);
    const essiv = nodeAes.ecb('encrypt', createHash('sha256').update(short).digest(), iv(far));
    expect(crypt('aes-cbc-essiv:sha256', 16)).toEqual(new Uint8Array(nodeAes.cbc('encrypt', short, essiv, data)));
    expect(crypt('aes-cbc-plain64', 16)).toEqual(new Uint8Array(nodeAes.cbc('encrypt', short, iv(far), data)));
    const wrapped = cryptSectors(
      'encrypt',
      format('aes-xts-plain64', 64, 512, (1n << 64n) - 1n),
      pattern(1024),
      0,
      nobleAes,
    );
    expect(wrapped.subarray(512)).toEqual(
      new Uint8Array(nodeAes.xts('encrypt', key, iv(0n), pattern(1024).subarray(512))),
    );
  });

  it('must be whole', () => {
    expect(
      failure(() => cryptSectors('decrypt', format('aes-xts-plain64', 64, 4096), pattern(4608), 0, nobleAes)),
    ).toMatchObject({
      kind: 'format',
      message: '4608 bytes are not a whole number of sectors of 4096',
    });
  });
});

describe('cipher names', () => {
  it('that are known', () => {
    expect(findCipher('aes-xts-plain64', 64, 'x')).toEqual({ name: 'aes-xts-plain64', mode: 'xts', iv: 'plain64' });
    expect(findCipher('aes-xts-plain', 32, 'x')).toMatchObject({ mode: 'xts', iv: 'plain' });
    expect(findCipher('aes-cbc-essiv:sha256', 24, 'x')).toMatchObject({ mode: 'cbc', iv: 'essiv:sha256' });
  });

  it.each([
    ['serpent-xts-plain64', 64, 'the cipher "serpent-xts-plain64" is not known'],
    ['aes-xts-plain64x', 64, 'the cipher "aes-xts-plain64x" is not known'],
    ['xaes-xts-plain64', 64, 'the cipher "xaes-xts-plain64" is not known'],
    ['aes-ecb', 32, 'the cipher "aes-ecb" is not known'],
    ['cipher_null-ecb', 32, 'the cipher "cipher_null-ecb" encrypts nothing'],
    ['null', 32, 'the cipher "null" encrypts nothing'],
    ['aes-xts-plain64', 48, 'aes-xts-plain64 takes no key of 48 bytes'],
    ['aes-xts-plain64', 96, 'aes-xts-plain64 takes no key of 96 bytes'],
    ['aes-cbc-plain', 64, 'aes-cbc-plain takes no key of 64 bytes'],
  ])('%s with %i bytes is refused', (name, size, message) => {
    expect(failure(() => findCipher(name, size, 'place'))).toMatchObject({
      kind: 'format',
      message: `place: ${message}`,
    });
  });

  it('that stand for nothing', () => {
    expect(['null', 'null-ecb', 'cipher_null', 'cipher_null-ecb'].map(isNullCipher)).toEqual([true, true, true, true]);
    expect(['aes-xts-plain64', 'nullify', 'xnull', 'aes-null'].map(isNullCipher)).toEqual([false, false, false, false]);
  });
});

describe('key derivation', () => {
  const salt = pattern(32);
  const pbkdf2 = (over: object = {}): Kdf => ({ type: 'pbkdf2', hash: 'sha256', iterations: 1000, salt, ...over });
  const argon2 = (over: object = {}): Kdf => ({ type: 'argon2id', time: 1, memory: 32, cpus: 1, salt, ...over });

  it('gives the same bytes with and without node', async () => {
    for (const hash of ['sha1', 'sha256', 'sha384', 'sha512'] as const) {
      const [ours, theirs] = [nobleKdfs, nodeLuksCrypto.kdfs].map((kdfs) => kdfs.pbkdf2(hash, pattern(5), salt, 3, 70));
      expect(hex((await ours) ?? salt)).toBe(hex((await theirs) ?? pattern(1)));
    }
  });

  it('of Argon2 is that of RFC 9106 version 0x13', async () => {
    const derive = (kdf: Kdf) => deriveKey(kdf, Buffer.from('password'), 32, 'k', nobleKdfs, KDF_LIMITS);
    const somesalt = Buffer.from('somesalt');
    // phc-winner-argon2, test.c: version 0x13, t=2, m=2^8, p=1 and p=2.
    expect(hex(await derive(argon2({ type: 'argon2i', time: 2, memory: 256, salt: somesalt })))).toBe(
      '89e9029f4637b295beb027056a7336c414fadd43f6b208645281cb214a56452f',
    );
    expect(hex(await derive(argon2({ type: 'argon2id', time: 2, memory: 256, salt: somesalt })))).toBe(
      '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe',
    );
    expect(hex(await derive(argon2({ type: 'argon2id', time: 2, memory: 256, cpus: 2, salt: somesalt })))).toBe(
      '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037',
    );
  });

  it('of Argon2 gives the same bytes from WebAssembly, also for odd costs and no password', async () => {
    const costs = [
      { time: 1, memory: 8, cpus: 1 },
      { time: 3, memory: 37, cpus: 4 },
      { time: 2, memory: 101, cpus: 3 },
    ];
    for (const type of ['argon2i', 'argon2id'] as const) {
      for (const cost of costs) {
        for (const secret of [pattern(0), pattern(1), pattern(70)]) {
          const [ours, theirs] = [nobleKdfs, nodeLuksCrypto.kdfs].map((kdfs) =>
            kdfs.argon2(type, secret, salt, cost, 64),
          );
          expect(hex((await ours) ?? salt)).toBe(hex((await theirs) ?? pattern(1)));
        }
      }
    }
  });

  it('of Argon2 without the memory says so', async () => {
    const cost = { time: 1, memory: 0xffffffff, cpus: 1 };
    await expect(nodeLuksCrypto.kdfs.argon2('argon2id', salt, salt, cost, 64)).rejects.toMatchObject({
      kind: 'tool',
      message: 'this machine has no 4294967295 KiB of memory left for Argon2',
    });
  });

  it('has a cost within limits', () => {
    const problem = (kdf: Kdf) => kdfCostProblem(kdf, { iterations: 2000, memory: 64, work: 128, cpus: 4 });
    expect([pbkdf2({ iterations: 2000 }), argon2({ memory: 64, time: 2, cpus: 4 })].map(problem)).toEqual([
      undefined,
      undefined,
    ]);
    expect(problem(pbkdf2({ iterations: 2001 }))).toBe(
      'asks for 2001 iterations of PBKDF2, more than the limit of 2000',
    );
    expect(problem(argon2({ memory: 65 }))).toBe('asks for 65 KiB of memory for Argon2, more than the limit of 64');
    expect(problem(argon2({ cpus: 5, memory: 40 }))).toBe('asks for 5 lanes of Argon2, more than the limit of 4');
    expect(problem(argon2({ memory: 64, time: 3 }))).toBe(
      'asks for 192 KiB of work (passes times memory) of Argon2, more than the limit of 128',
    );
    expect(problem(argon2({ memory: 8 }))).toBeUndefined();
    expect(problem(argon2({ memory: 15, cpus: 2 }))).toBe('15 KiB are too little for 2 lanes of Argon2');
    expect(problem({ type: 'foreign', name: 'x' })).toBe('the key derivation "x" is not known');
  });

  it('is refused before any work', async () => {
    const never = {
      ...nobleKdfs,
      pbkdf2: () => Promise.reject(new Error('ran')),
      argon2: () => Promise.reject(new Error('ran')),
    };
    for (const kdf of [
      pbkdf2({ iterations: 100_000_001 }),
      argon2({ time: 0xffffffff }),
      argon2({ memory: 0xffffffff }),
    ]) {
      await expect(deriveKey(kdf, salt, 32, 'slot', never, KDF_LIMITS)).rejects.toMatchObject({
        kind: 'format',
        message: expect.stringMatching(/^slot: asks for .* more than the limit of/),
        hint: expect.stringContaining('a hostile header can ask for any cost'),
      });
    }
    await expect(deriveKey(pbkdf2({ hash: 'whirlpool' }), salt, 32, 'slot', never, KDF_LIMITS)).rejects.toMatchObject({
      kind: 'format',
      message: 'slot: the hash "whirlpool" is not known',
    });
    expect(failure(() => checkKdfCost({ type: 'foreign', name: 'x' }, 'slot', KDF_LIMITS))).toEqual({
      kind: 'format',
      message: 'slot: the key derivation "x" is not known',
      hint: 'known are pbkdf2, argon2i and argon2id; cryptsetup opens images with others',
    });
    checkKdfCost(pbkdf2({ iterations: 100_000_000 }), 'slot', KDF_LIMITS);
    checkKdfCost(argon2({ memory: 1 << 20, time: 32, cpus: 64 }), 'slot', KDF_LIMITS);
  });
});

it('hashes are those of their names', () => {
  for (const name of ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies LuksHash[]) {
    expect(hex(nobleHash(luksHash(name, 'x'))(pattern(9)))).toBe(createHash(name).update(pattern(9)).digest('hex'));
  }
  expect(failure(() => luksHash('toString', 'x')).message).toBe('x: the hash "toString" is not known');
});

describe('digests', () => {
  it('tell the key from others', async () => {
    const parameters = { hash: 'sha256', iterations: 1000, salt: pattern(32) };
    const digest = await computeDigest(pattern(64), parameters, 20, 'digest', nobleLuksCrypto);
    expect(digest.length).toBe(20);
    const full = { ...parameters, digest };
    expect(await isKeyOf(full, pattern(64), 'digest', nodeLuksCrypto)).toBe(true);
    expect(await isKeyOf(full, pattern(63), 'digest', nodeLuksCrypto)).toBe(false);
    const costly = { ...full, iterations: 0xffffffff };
    await expect(isKeyOf(costly, pattern(64), 'digest', nodeLuksCrypto)).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining('digest: asks for 4294967295 iterations'),
    });
    await expect(isKeyOf({ ...full, hash: 'md5' }, pattern(64), 'digest', nodeLuksCrypto)).rejects.toMatchObject({
      message: 'digest: the hash "md5" is not known',
    });
  });
});

describe('keyslots', () => {
  const format = (over: Partial<KeyslotFormat> = {}): KeyslotFormat => ({
    where: 'keyslot 3',
    kdf: { type: 'pbkdf2', hash: 'sha512', iterations: 10, salt: pattern(32) },
    afHash: 'sha1',
    encryption: 'aes-cbc-essiv:sha256',
    encryptionKeySize: 32,
    keySize: 32,
    ...over,
  });
  const secret = Buffer.from('secret');

  it('give back the volume key for the passphrase, and other bytes for another', async () => {
    const area = await sealKeyslot(format(), pattern(32, 3), secret, pattern(3999 * 32), nobleLuksCrypto);
    expect(area.length).toBe(128000);
    expect(await openKeyslot(format(), area, secret, nodeLuksCrypto)).toEqual(pattern(32, 3));
    expect(await openKeyslot(format(), area, Buffer.from('Secret'), nodeLuksCrypto)).not.toEqual(pattern(32, 3));
  });

  it('are refused for what is not known, before the passphrase is looked at', async () => {
    const open = (over: Partial<KeyslotFormat>) => openKeyslot(format(over), pattern(128000), secret, nobleLuksCrypto);
    await expect(open({ encryption: 'cipher_null-ecb' })).rejects.toMatchObject({
      kind: 'format',
      message: 'keyslot 3: area: the cipher "cipher_null-ecb" encrypts nothing',
      hint: expect.stringContaining('do not trust'),
    });
    await expect(open({ afHash: 'whirlpool' })).rejects.toMatchObject({
      message: 'keyslot 3: splitter: the hash "whirlpool" is not known',
    });
    await expect(open({ kdf: { type: 'foreign', name: 'x' } })).rejects.toMatchObject({
      message: 'keyslot 3: key derivation: the key derivation "x" is not known',
    });
    await expect(open({ keySize: 64 })).rejects.toMatchObject({
      kind: 'format',
      message: 'keyslot 3: an area of another size is needed',
    });
  });
});
