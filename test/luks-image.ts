/** @module LUKS images and metadata for tests: the fixtures, and metadata that can be changed at any place. */
import type { Disk } from '../src/core/luks/disk.ts';
import { encodeHeaderCopy, type NewHeader } from '../src/core/luks/header.ts';
import type { Kdfs } from '../src/core/luks/kdf.ts';
import { type LuksCrypto, nobleLuksCrypto } from '../src/core/luks/keyslot.ts';
import { type JsonObject, type Plain, toJson } from '../src/core/luks/metadata/json.ts';
import { printMetadata } from '../src/core/luks/metadata.ts';
import { nodeLuksCrypto } from '../src/host/node-luks.ts';
import { fixture } from './fixtures.ts';

/** The key of all fixtures. */
export const PASSPHRASE = fixture('luks/passphrase.txt');

/** The plaintext of all fixtures, from block `first` of 16 bytes. */
export function blocks(first: number, count: number): Uint8Array {
  const text = Array.from({ length: count }, (_, i) => `BLOCK${String(first + i).padStart(10, '0')}!`).join('');
  return new Uint8Array(Buffer.from(text));
}

/** Bytes as a disk. */
export function memoryDisk(bytes: Uint8Array): Disk {
  return { size: bytes.length, read: async (at, size) => bytes.slice(at, at + size) };
}

/** Metadata of one keyslot, one segment and one digest, as cryptsetup writes them; a header of 16 KiB, data at 1 MiB. */
export function samplePlain(): { [key: string]: Plain } {
  const salt = Buffer.alloc(32, 7).toString('base64');
  return {
    keyslots: {
      0: {
        type: 'luks2',
        key_size: 64,
        af: { type: 'luks1', stripes: 4000, hash: 'sha256' },
        area: { type: 'raw', offset: '32768', size: '258048', encryption: 'aes-xts-plain64', key_size: 64 },
        kdf: { type: 'pbkdf2', hash: 'sha256', iterations: 1000, salt },
      },
    },
    tokens: {},
    segments: {
      0: {
        type: 'crypt',
        offset: '1048576',
        size: 'dynamic',
        iv_tweak: '0',
        encryption: 'aes-xts-plain64',
        sector_size: 512,
      },
    },
    digests: {
      0: {
        type: 'pbkdf2',
        keyslots: ['0'],
        segments: ['0'],
        hash: 'sha256',
        iterations: 1000,
        salt,
        digest: Buffer.alloc(32, 9).toString('base64'),
      },
    },
    config: { json_size: '12288', keyslots_size: '1015808' },
  };
}

type Tree = { [key: string]: unknown };

/** Returns plain values with changes: `{'keyslots.0.key_size': 32}`; undefined takes the member away. */
export function edited(
  plain: { [key: string]: Plain },
  changes: Readonly<Record<string, Plain | undefined>>,
): {
  [key: string]: Plain;
} {
  const copy = structuredClone(plain) as Tree;
  for (const [path, value] of Object.entries(changes)) {
    const names = path.split('.');
    const last = names.pop() ?? '';
    let at = copy;
    for (const name of names) at = at[name] as Tree;
    if (value === undefined) delete at[last];
    else at[last] = structuredClone(value);
  }
  return copy as { [key: string]: Plain };
}

/** The sample with changes, as metadata. */
export function sampleJson(changes: Readonly<Record<string, Plain | undefined>> = {}): JsonObject {
  return toJson(edited(samplePlain(), changes));
}

/** An image of the sample with changes, 1 MiB and 4 KiB long, with a say in what each copy is. */
export function sampleImage(
  changes: Readonly<Record<string, Plain | undefined>> = {},
  over: { primary?: Partial<NewHeader>; secondary?: Partial<NewHeader> } = {},
): Uint8Array {
  const image = new Uint8Array(0x100000 + 4096);
  const size = 0x4000;
  const common = {
    size,
    seqid: 3n,
    label: 'root',
    subsystem: '',
    uuid: '12345678-1234-4234-8234-123456789abc',
    salt: new Uint8Array(64).fill(1),
    area: printMetadata(sampleJson(changes), size),
  };
  image.set(encodeHeaderCopy({ ...common, ...over.primary }, 'primary'));
  image.set(encodeHeaderCopy({ ...common, salt: new Uint8Array(64).fill(2), ...over.secondary }, 'secondary'), size);
  return image;
}

/** node:crypto with a stand-in for Argon2, for headers whose real cost a unit test cannot pay. */
export function withArgon2(argon2: Kdfs['argon2']): LuksCrypto {
  return { ...nodeLuksCrypto, kdfs: { ...nodeLuksCrypto.kdfs, argon2 } };
}

export { nobleLuksCrypto, nodeLuksCrypto };

/** Returns bytes that look random and are the same for the same seed (xorshift32). */
export function seededRandom(seed: number): (size: number) => Uint8Array {
  let state = seed;
  return (size) => {
    const words = new Uint32Array(Math.ceil(size / 4));
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    return new Uint8Array(words.buffer).slice(0, size);
  };
}
