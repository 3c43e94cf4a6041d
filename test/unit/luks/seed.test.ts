import { createCipheriv, hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { randomFromSeed, type SeedContext } from '../../../src/core/luks/seed.ts';
import { nodeStream } from '../../../src/host/node-luks.ts';

const seed = Uint8Array.of(1, 2, 3);
const context: SeedContext = { purpose: 'image', content: new Uint8Array(32).fill(9), options: '{}' };
const take = (over: Partial<SeedContext> = {}, from = seed) =>
  Buffer.from(randomFromSeed(from, { ...context, ...over })(32)).toString('hex');

describe('randomFromSeed', () => {
  it('is HKDF and AES-256-CTR', () => {
    const [random, fast] = [randomFromSeed(seed, context), randomFromSeed(seed, context, nodeStream)];
    const info = Buffer.from('bootseal seed 1\0image\0{}');
    const key = new Uint8Array(hkdfSync('sha256', seed, context.content, info, 32));
    for (const [call, size] of [5, 0, 70, 1 << 16].entries()) {
      const counter = Buffer.alloc(16);
      counter.writeBigUInt64BE(BigInt(call), 0);
      const expected = createCipheriv('aes-256-ctr', key, counter).update(Buffer.alloc(size));
      expect(Buffer.compare(random(size), expected)).toBe(0);
      expect(Buffer.compare(fast(size), expected)).toBe(0);
    }
  });

  it('gives the same again, and something else for anything else', () => {
    const all = [
      take(),
      take({ purpose: 'filesystem' }),
      take({ content: new Uint8Array(32).fill(8) }),
      take({ options: '{ }' }),
      take({}, Uint8Array.of(1, 2)),
      take({ purpose: 'image\0{', options: '}' }),
    ];
    expect(take()).toBe(all[0]);
    expect(new Set(all).size).toBe(all.length);
  });
});
