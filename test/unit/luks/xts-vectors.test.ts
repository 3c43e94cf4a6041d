/** AES-XTS of node:crypto and of core against the known answers of OpenSSL and of project Wycheproof. */
import { describe, expect, it } from 'vitest';
import { nobleAes } from '../../../src/core/luks/aes.ts';
import { nodeAes } from '../../../src/host/node-luks.ts';
import { typedOrValue } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

interface Answer {
  readonly title: string;
  readonly key: Buffer;
  readonly iv: Buffer;
  readonly plain: Buffer;
  readonly cipher: Buffer;
}

interface Wycheproof {
  readonly numberOfTests: number;
  readonly testGroups: readonly {
    readonly keySize: number;
    readonly tests: readonly Readonly<Record<'tcId' | 'key' | 'iv' | 'msg' | 'ct' | 'result', string>>[];
  }[];
}

const hex = (text: string) => Buffer.from(text, 'hex');

function wycheproof(): Answer[] {
  const file = JSON.parse(Buffer.from(fixture('luks/wycheproof-aes_xts_test.json')).toString()) as Wycheproof;
  return file.testGroups.flatMap(({ tests }) =>
    tests.map(({ tcId, key, iv, msg, ct, result }) => {
      if (result !== 'valid') throw new Error(`test ${tcId} is ${result}`);
      // Shorter IVs are the lower bytes of the sector number.
      const tweak = Buffer.concat([hex(iv), Buffer.alloc(16)]).subarray(0, 16);
      return { title: `Wycheproof ${tcId}`, key: hex(key), iv: tweak, plain: hex(msg), cipher: hex(ct) };
    }),
  );
}

function openssl(): Answer[] {
  const text = Buffer.from(fixture('luks/openssl-3.0-evpciph-aes-xts.txt')).toString();
  return text.split(/\n\s*\n/).flatMap((stanza, i) => {
    const field = (name: string) => new RegExp(`^${name} = (.*)$`, 'm').exec(stanza)?.[1];
    const [key, iv, plain, cipher] = ['Key', 'IV', 'Plaintext', 'Ciphertext'].map(field);
    // The file ends within a stanza. The same key twice is refused here in both directions.
    if (key === undefined || cipher === undefined || key.slice(0, key.length / 2) === key.slice(key.length / 2))
      return [];
    const answer = { key: hex(key), iv: hex(iv ?? ''), plain: hex(plain ?? ''), cipher: hex(cipher ?? '') };
    return [{ title: `OpenSSL ${i}`, ...answer }];
  });
}

const answers = [...wycheproof(), ...openssl()];

describe('AES-XTS', () => {
  it('has all the known answers', () => {
    expect([wycheproof().length, openssl().length]).toEqual([123, 34]);
  });

  it.each(answers)('$title', ({ key, iv, plain, cipher }) => {
    // OpenSSL has no XTS with AES-192; core has no ciphertext stealing, which sectors never need.
    const able = [...(key.length === 48 ? [] : [nodeAes]), ...(plain.length % 16 === 0 ? [nobleAes] : [])];
    for (const aes of able) {
      expect(Buffer.from(aes.xts('encrypt', key, iv, plain)).toString('hex')).toBe(cipher.toString('hex'));
      expect(Buffer.from(aes.xts('decrypt', key, iv, cipher)).toString('hex')).toBe(plain.toString('hex'));
    }
    if (able.length === 0) expect([key.length, plain.length % 16 !== 0]).toEqual([48, true]);
  });

  it('refuses what OpenSSL lists as a key set error', () => {
    expect(
      typedOrValue(() => nodeAes.xts('encrypt', Buffer.alloc(32), Buffer.alloc(16), Buffer.alloc(32))),
    ).toBeUndefined();
  });
});
