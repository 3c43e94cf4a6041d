/** @module The cipher names of LUKS headers (`aes-xts-plain64`), in the notation of dm-crypt, and which of them are known here. */
import { BootsealError } from '../errors.ts';
import { quoted } from './quote.ts';

/** What a name stands for. */
export interface Cipher {
  readonly name: string;
  readonly mode: 'xts' | 'cbc';
  readonly iv: 'plain' | 'plain64' | 'essiv:sha256';
}

const NAME = /^aes-(xts|cbc)-(plain64|plain|essiv:sha256)$/;

/** Bytes of a key. XTS takes two keys of AES-128 or AES-256; with AES-192 it is not standardised (IEEE 1619-2018). */
const KEY_SIZES = { xts: [32, 64], cbc: [16, 24, 32] } as const;

/** Says whether nothing is encrypted under this name (`cipher_null-ecb`, `null`). */
export function isNullCipher(name: string): boolean {
  return /^(cipher_)?null(-|$)/.test(name);
}

/**
 * Returns the cipher of this name for a key of `keySize` bytes.
 *
 * @throws `format` naming `where`, when the cipher is not known, encrypts nothing or has no such key
 */
export function findCipher(name: string, keySize: number, where: string): Cipher {
  if (isNullCipher(name)) {
    throw new BootsealError('format', `${where}: the cipher ${quoted(name)} encrypts nothing`, {
      hint: 'someone who could write to the image may have changed its header: do not trust what is in it',
    });
  }
  const found = NAME.exec(name);
  const [mode, iv] = [found?.[1], found?.[2]] as [Cipher['mode'], Cipher['iv']];
  if (found === null) {
    throw new BootsealError('format', `${where}: the cipher ${quoted(name)} is not known`, {
      hint: 'known are aes-xts and aes-cbc with plain, plain64 and essiv:sha256; cryptsetup opens images with others',
    });
  }
  if (!KEY_SIZES[mode].some((size) => size === keySize)) {
    throw new BootsealError('format', `${where}: ${name} takes no key of ${keySize} bytes`, {
      hint: `it takes ${KEY_SIZES[mode].join(' or ')}; where a header says otherwise, restore it from a copy that you made yourself`,
    });
  }
  return { name, mode, iv };
}
