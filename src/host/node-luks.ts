/** @module The crypto of LUKS from node:crypto (OpenSSL). */
import * as crypto from 'node:crypto';
import { promisify } from 'node:util';
import { type AesModes, checkXtsKey, type Direction } from '../core/luks/aes.ts';
import { KDF_LIMITS, type Kdfs } from '../core/luks/kdf.ts';
import type { LuksCrypto } from '../core/luks/keyslot.ts';
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

/** PBKDF2 and Argon2 at the speed of the machine. */
const nodeKdfs: Kdfs = {
  pbkdf2: async (hash, secret, salt, iterations, size) => pbkdf2(secret, salt, iterations, size, hash),
  argon2: wasmArgon2,
};

/** What opens and seals keyslots, with the limits that hostile headers are held to. */
export const nodeLuksCrypto: LuksCrypto = { aes: nodeAes, kdfs: nodeKdfs, limits: KDF_LIMITS };
