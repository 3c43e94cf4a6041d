import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { findTagScheme } from '../../../src/core/luks/integrity/schemes.ts';
import { sealSector } from '../../../src/core/luks/integrity/tags.ts';
import { checkSealer } from '../../../src/host/image/check-sealer.ts';
import { openSealer } from '../../../src/host/image/sealer.ts';
import { nodeSectorCrypto } from '../../../src/host/node-luks.ts';
import { BLOCK_SIZE } from '../../../src/host/xts/xts.ts';

const SCHEMES = {
  hmac: { tags: findTagScheme('aes-xts-plain64', 'hmac(sha256)', 96, 'test'), keySize: 96 },
  gcm: { tags: findTagScheme('aes-gcm-random', 'aead', 32, 'test'), keySize: 32 },
};
const CASES = Object.entries(SCHEMES).flatMap(([name, scheme]) =>
  ([512, 4096] as const).map((sectorSize) => ({ name, sectorSize, ...scheme })),
);

describe.each(CASES)('sectors of $sectorSize with $name', ({ tags, keySize, sectorSize }) => {
  const key = randomBytes(keySize);
  const ivKey = randomBytes(32);
  const seal = (plain: Uint8Array, at: number) => {
    const sealer = openSealer(key, sectorSize, { tags, ivKey });
    sealer.block.set(plain);
    return { tags: sealer.seal(at, plain.length).slice(), cipher: sealer.block.slice(0, plain.length) };
  };

  it('come out as the core seals them, also far out', () => {
    const plain = randomBytes(3 * sectorSize);
    for (const at of [0, BLOCK_SIZE, 2 ** 41 - sectorSize, 2 ** 50]) {
      const sealed = seal(plain, at);
      for (let sector = 0; sector < 3; sector++) {
        const [start, end] = [sector * sectorSize, (sector + 1) * sectorSize];
        const tag = sealed.tags.subarray(sector * tags.tagSize, (sector + 1) * tags.tagSize);
        const wanted = sealSector(
          { tags, key, ivTweak: 0n },
          BigInt((at + start) / 512),
          plain.subarray(start, end),
          tag.subarray(tags.macSize),
          nodeSectorCrypto,
        );
        expect(Buffer.compare(sealed.cipher.subarray(start, end), wanted.cipher)).toBe(0);
        expect(Buffer.compare(tag, wanted.tag)).toBe(0);
      }
    }
  });

  it('are the same again, a whole block too, and others elsewhere', () => {
    const plain = new Uint8Array(BLOCK_SIZE);
    const [one, again, next] = [seal(plain, 0), seal(plain, 0), seal(plain, BLOCK_SIZE)];
    expect(Buffer.compare(one.cipher, again.cipher)).toBe(0);
    expect(Buffer.compare(one.tags, again.tags)).toBe(0);
    const kept = new Set<string>();
    for (const { tags: made } of [one, next]) {
      expect(made).toHaveLength((BLOCK_SIZE / sectorSize) * tags.tagSize);
      for (let at = 0; at < made.length; at += tags.tagSize) {
        // The IV where it is random, else the code.
        const from = tags.iv === 'random' ? at + tags.macSize : at;
        kept.add(Buffer.from(made.subarray(from, at + tags.tagSize)).toString('hex'));
      }
    }
    expect(kept.size).toBe((2 * BLOCK_SIZE) / sectorSize);
  });

  it('leave nothing behind', () => {
    const sealer = openSealer(key, sectorSize, { tags, ivKey });
    sealer.block.fill(7);
    sealer.seal(0, BLOCK_SIZE);
    sealer.wipe();
    expect(sealer.block.every((byte) => byte === 0)).toBe(true);
  });

  it('are checked before they are trusted', () => {
    expect(checkSealer(sectorSize, tags)).toBeUndefined();
    const spoiled = (spoil: (sealed: Uint8Array, block: Uint8Array, at: number) => void) => () =>
      checkSealer(sectorSize, tags, (...args) => {
        const sealer = openSealer(...args);
        const sealAndSpoil = (at: number, size: number) => {
          const made = sealer.seal(at, size);
          spoil(made, sealer.block, at);
          return made;
        };
        return { ...sealer, seal: sealAndSpoil };
      });
    const wrong = expect.objectContaining({
      kind: 'tool',
      message: 'sectors with tags come out wrong on this machine',
    });
    expect(spoiled(() => {})()).toBeUndefined();
    expect(spoiled((made) => made.fill(0, 0, 1))).toThrow(wrong);
    expect(spoiled((made) => made.fill(0, 4 * tags.tagSize, 4 * tags.tagSize + 1))).toThrow(wrong);
    expect(spoiled((_made, block) => block.fill(0, 4 * sectorSize, 4 * sectorSize + 2))).toThrow(wrong);
    expect(spoiled((made, _block, at) => at > 0 && made.fill(0))).toThrow(wrong);
    const identity = { tags, ivKey };
    // Tags that are right for plaintext that was never encrypted are not enough.
    expect(() =>
      checkSealer(sectorSize, tags, (given) => {
        const sealer = openSealer(given, sectorSize, identity);
        return { ...sealer, seal: (at, size) => sealer.seal(at + sectorSize, size) };
      }),
    ).toThrow(wrong);
  });
});
