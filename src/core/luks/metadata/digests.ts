/**
 * @module Digest objects of LUKS2 metadata: how a volume key is recognised, and what it belongs to (LUKS2 On-Disk Format
 * Specification 1.1.4, section 3.4).
 */
import { base64Field, integerField, numberedObjects, type Place, referencesField, stringField } from './fields.ts';
import { SALT_SIZE } from './keyslots.ts';

/** A digest of a volume key. */
export interface Digest {
  readonly id: number;
  readonly type: string;
  /** Numbers of the keyslots that hold the key and of the segments that it encrypts. */
  readonly keyslots: readonly number[];
  readonly segments: readonly number[];
  /** For the type `pbkdf2`, the only one there is. */
  readonly pbkdf2?: {
    readonly hash: string;
    readonly iterations: number;
    /** 32 bytes. */
    readonly salt: Uint8Array;
    readonly digest: Uint8Array;
  };
}

const MAX_DIGESTS = 8;
/** Bytes: a LUKS1 digest, and the longest hash that there is. */
const DIGEST_SIZES = { min: 20, max: 64 };

/** Reads the section `digests`; throws `format` naming the first place that breaks a rule. */
export function readDigests(section: Place, keyslots: Place, segments: Place): readonly Digest[] {
  return numberedObjects(section, MAX_DIGESTS).map(({ id, place }) => {
    const type = stringField(place, 'type');
    const digest = {
      id,
      type,
      keyslots: referencesField(place, 'keyslots', keyslots),
      segments: referencesField(place, 'segments', segments),
    };
    return type === 'pbkdf2' ? { ...digest, pbkdf2: readPbkdf2(place) } : digest;
  });
}

function readPbkdf2(place: Place): NonNullable<Digest['pbkdf2']> {
  return {
    hash: stringField(place, 'hash'),
    iterations: integerField(place, 'iterations', 1),
    salt: base64Field(place, 'salt', SALT_SIZE),
    digest: base64Field(place, 'digest', DIGEST_SIZES.min, DIGEST_SIZES.max),
  };
}
