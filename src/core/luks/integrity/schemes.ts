/**
 * @module How sectors are encrypted and authenticated together: the pairs of a cipher and an integrity type of LUKS2 segments
 * (Linux, drivers/md/dm-crypt.c, crypt_ctr_cipher and crypt_convert_block_aead; cryptsetup, lib/luks2/luks2_json_metadata.c).
 */
import { BootsealError } from '../../errors.ts';
import { quoted } from '../quote.ts';

/** One way to authenticate sectors. */
export interface TagScheme {
  /** Such as `aes-xts-plain64`. */
  readonly encryption: string;
  /** Such as `hmac(sha256)`. */
  readonly integrity: string;
  readonly mode: 'xts-hmac' | 'gcm';
  /** Whether the IV of a sector is its number, or random and kept behind its tag. */
  readonly iv: 'plain64' | 'random';
  /** Bytes at the end of the volume key that are the key of the HMAC; the cipher's key stands before them. */
  readonly macKeySize: number;
  /** Bytes of the IV and of the authentication code. */
  readonly ivSize: number;
  readonly macSize: number;
  /** Bytes that are kept for each sector: the code and, where it is random, the IV. */
  readonly tagSize: number;
}

const XTS_HMAC = { integrity: 'hmac(sha256)', mode: 'xts-hmac', macKeySize: 32, ivSize: 16, macSize: 32 } as const;

const SCHEMES: readonly (TagScheme & { readonly keySizes: readonly number[] })[] = [
  { ...XTS_HMAC, encryption: 'aes-xts-plain64', iv: 'plain64', tagSize: 32, keySizes: [64, 96] },
  { ...XTS_HMAC, encryption: 'aes-xts-random', iv: 'random', tagSize: 48, keySizes: [64, 96] },
  {
    ...{ encryption: 'aes-gcm-random', integrity: 'aead', mode: 'gcm', iv: 'random' },
    ...{ macKeySize: 0, ivSize: 12, macSize: 16, tagSize: 28, keySizes: [16, 32] },
  },
];

/**
 * Returns the scheme of these names for a volume key of `keySize` bytes.
 *
 * @throws `format` naming `where`, when it is not known or has no such key
 */
export function findTagScheme(encryption: string, integrity: string, keySize: number, where: string): TagScheme {
  const found = SCHEMES.find((scheme) => scheme.encryption === encryption && scheme.integrity === integrity);
  if (found === undefined) {
    const names = `the cipher ${quoted(encryption)} with the integrity ${quoted(integrity)}`;
    throw new BootsealError('format', `${where}: ${names} is not known`, {
      hint: 'known are aes-xts-plain64 and aes-xts-random with hmac(sha256), and aes-gcm-random with aead',
    });
  }
  const { keySizes, ...scheme } = found;
  if (!keySizes.includes(keySize)) {
    throw new BootsealError('format', `${where}: ${encryption} with ${integrity} takes no key of ${keySize} bytes`, {
      hint: `it takes ${keySizes.join(' or ')}; where a header says otherwise, restore it from a copy that you made yourself`,
    });
  }
  return scheme;
}
