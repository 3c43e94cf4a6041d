/** @module How the data of a new image are encrypted: sectors alone, or each with a tag. */
import { BootsealError } from '../errors.ts';
import { findCipher } from './cipher.ts';
import { type IntegrityLayout, newIntegrityLayout } from './integrity/layout.ts';
import { findTagScheme } from './integrity/schemes.ts';
import type { SealedFormat } from './integrity/tags.ts';
import type { PlanOptions, Random } from './plan.ts';
import type { SectorFormat } from './sectors.ts';

/** Ways to authenticate sectors: AES-256-XTS with HMAC-SHA256, and AES-256-GCM. */
export type IntegrityChoice = 'hmac' | 'gcm';

/** How sectors are encrypted that have no tags. */
export interface PlainSectors extends SectorFormat {
  readonly tags?: undefined;
}

/** How sectors are encrypted and authenticated, and where their tags go. */
export interface TaggedSectors extends SealedFormat {
  readonly cipher?: undefined;
  readonly sectorSize: 512 | 4096;
  readonly layout: IntegrityLayout;
  /** 32 random bytes, which the random IVs of the sectors follow from. */
  readonly ivKey: Uint8Array;
}

const ENCRYPTION = 'aes-xts-plain64';

/** What the header says of the data, and bytes of the volume key. */
const SCHEMES = {
  hmac: { encryption: ENCRYPTION, integrity: 'hmac(sha256)', volumeKeySize: 96 },
  gcm: { encryption: 'aes-gcm-random', integrity: 'aead', volumeKeySize: 32 },
} as const;

const IV_KEY_SIZE = 32;

/** Returns the name of the cipher, as the header says it. */
export function encryptionOf(sectors: PlainSectors | TaggedSectors): string {
  return sectors.tags === undefined ? sectors.cipher.name : sectors.tags.encryption;
}

/**
 * Plans the encryption of the data with a new volume key, which is the caller's to wipe.
 *
 * @throws `usage` when integrity does not go with the other options
 */
export function planSectors(options: PlanOptions, random: Random): PlainSectors | TaggedSectors {
  const { integrity, version, keySize, sectorSize, dataSize } = options;
  if (integrity === undefined) {
    return { cipher: findCipher(ENCRYPTION, keySize, 'plan'), key: random(keySize), sectorSize, ivTweak: 0n };
  }
  if (version === 1)
    throw new BootsealError('usage', 'LUKS1 has no integrity tags', { hint: 'leave --integrity or --luks1 out' });
  if (keySize !== 64) {
    throw new BootsealError('usage', `integrity goes with AES-256, not with ${keySize} bytes of key`, {
      hint: 'take a key of 64 bytes, or leave the integrity out',
    });
  }
  const scheme = SCHEMES[integrity];
  const tags = findTagScheme(scheme.encryption, scheme.integrity, scheme.volumeKeySize, 'plan');
  const layout = newIntegrityLayout(dataSize, sectorSize, tags.tagSize);
  return { tags, key: random(scheme.volumeKeySize), ivTweak: 0n, sectorSize, layout, ivKey: random(IV_KEY_SIZE) };
}
