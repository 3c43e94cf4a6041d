/** @module The crypto of LUKS from node:crypto (OpenSSL). */
import * as crypto from 'node:crypto';
import { promisify } from 'node:util';
import { concat, wipe } from '../core/bytes.ts';
import { type AesModes, checkXtsKey, type Direction } from '../core/luks/aes.ts';
import type { SectorCrypto } from '../core/luks/integrity/tags.ts';
import { KDF_LIMITS, type Kdfs } from '../core/luks/kdf.ts';
import type { LuksCrypto } from '../core/luks/keyslot.ts';
import type { CounterStream } from '../core/luks/seed.ts';
import { wasmArgon2 } from './argon2.ts';

const pbkdf2 = promisify(crypto.pbkdf2);

function run(direction: Direction, name: string, key: Uint8Array, iv: Uint8Array | null, data: Uint8Array): Uint8Array {
  const cipher =
    direction === 'encrypt' ? crypto.createCipheriv(name, key, iv) : crypto.createDecipheriv(name, key, iv);
  cipher.setAutoPadding(false);
  return cipher.update(data);
}

/** AES at the speed of the machine; XTS also takes data that are no whole number of blocks (ciphertext stealing). */
export const nodeAes: AesModes = {
  xts(direction, key, iv, data) {
    // OpenSSL refuses such a key only when it encrypts.
    checkXtsKey(key);
    return run(direction, `aes-${key.length * 4}-xts`, key, iv, data);
  },
  cbc: (direction, key, iv, data) => run(direction, `aes-${key.length * 8}-cbc`, key, iv, data),
  ecb: (direction, key, data) => run(direction, `aes-${key.length * 8}-ecb`, key, null, data),
};

const GCM_CODE_SIZE = 16;

/** AES, and the authentication of sectors, at the speed of the machine. */
export const nodeSectorCrypto: SectorCrypto = {
  ...nodeAes,
  hmacSha256(key, parts) {
    const hmac = crypto.createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  },
  gcmSeal(key, iv, aad, plain) {
    const cipher = crypto.createCipheriv(gcmName(key), key, iv).setAAD(aad);
    const sealed = cipher.update(plain);
    cipher.final();
    return concat(sealed, cipher.getAuthTag());
  },
  gcmOpen(key, iv, aad, sealed) {
    const end = sealed.length - GCM_CODE_SIZE;
    const decipher = crypto.createDecipheriv(gcmName(key), key, iv).setAAD(aad).setAuthTag(sealed.subarray(end));
    const plain = decipher.update(sealed.subarray(0, end));
    try {
      decipher.final();
      return plain;
    } catch {
      wipe(plain);
      return undefined;
    }
  },
};

function gcmName(key: Uint8Array): crypto.CipherGCMTypes {
  return key.length === 32 ? 'aes-256-gcm' : 'aes-128-gcm';
}

/** PBKDF2 and Argon2 at the speed of the machine. */
const nodeKdfs: Kdfs = {
  pbkdf2: async (hash, secret, salt, iterations, size) => pbkdf2(secret, salt, iterations, size, hash),
  argon2: wasmArgon2,
};

/** What opens and seals keyslots, with the limits that hostile headers are held to. */
export const nodeLuksCrypto: LuksCrypto = { aes: nodeAes, kdfs: nodeKdfs, limits: KDF_LIMITS };

/** AES-256-CTR at the speed of the machine. */
export const nodeStream: CounterStream = (key, counter, size) =>
  new Uint8Array(crypto.createCipheriv('aes-256-ctr', key, counter).update(new Uint8Array(size)));
