/**
 * @module Keyslot objects of LUKS2 metadata: where an encrypted volume key lies and how a passphrase opens it (LUKS2 On-Disk
 * Format Specification 1.1.4, section 3.2; rules of cryptsetup, lib/luks2/luks2_keyslot_luks2.c).
 */
import {
  base64Field,
  decimalField,
  integerField,
  invalid,
  numberedObjects,
  objectField,
  type Place,
  stringField,
} from './fields.ts';

/** How a passphrase becomes the key of a keyslot area. */
export type Kdf = KnownKdf | { readonly type: 'foreign'; readonly name: string };

/** One of the functions that there are; memory in KiB. */
export type KnownKdf =
  | {
      readonly type: 'pbkdf2';
      readonly hash: string;
      readonly iterations: number;
      /** 32 bytes. */
      readonly salt: Uint8Array;
    }
  | {
      readonly type: 'argon2i' | 'argon2id';
      readonly time: number;
      readonly memory: number;
      readonly cpus: number;
      /** 32 bytes. */
      readonly salt: Uint8Array;
    };

/** What a keyslot of any type has. */
interface CommonKeyslot {
  readonly id: number;
  readonly type: string;
  /** Bytes of the volume key. */
  readonly keySize: number;
  /** Bytes from the start of the header. */
  readonly area: { readonly offset: number; readonly size: number };
}

/** A keyslot that a passphrase opens. */
export interface Luks2Keyslot extends CommonKeyslot {
  readonly kind: 'luks2';
  /** 0: only when asked for by number, 1: normal, 2: tried first. */
  readonly priority: number;
  readonly kdf: Kdf;
  readonly afHash: string;
  /** Cipher of the area, such as `aes-xts-plain64`, and the bytes of its key. */
  readonly encryption: string;
  readonly encryptionKeySize: number;
}

/** A keyslot of a type that only other tools know, such as `reencrypt`. */
export interface ForeignKeyslot extends CommonKeyslot {
  readonly kind: 'foreign';
}

export type Keyslot = Luks2Keyslot | ForeignKeyslot;

export const MAX_KEYSLOTS = 32;
/** The only number of anti-forensic stripes that cryptsetup reads. */
export const STRIPES = 4000;
/** Bytes. */
export const SALT_SIZE = 32;
/** Bytes; cryptsetup's MAX_KEY_SIZE of 4096 bits. */
const MAX_KEY_SIZE = 512;

/** Returns the bytes that a volume key takes in a keyslot area: 4000 stripes, in whole 512-byte sectors. */
export function stripesSize(keySize: number): number {
  return Math.ceil((keySize * STRIPES) / 512) * 512;
}

/** Reads the section `keyslots`; throws `format` naming the first place that breaks a rule. */
export function readKeyslots(section: Place): readonly Keyslot[] {
  return numberedObjects(section, MAX_KEYSLOTS).map(({ id, place }) => readKeyslot(id, place));
}

function readKeyslot(id: number, place: Place): Keyslot {
  const type = stringField(place, 'type');
  const keySize = integerField(
    place,
    'key_size',
    type === 'luks2' ? 1 : 0,
    type === 'luks2' ? MAX_KEY_SIZE : undefined,
  );
  const areaPlace = objectField(place, 'area');
  const areaType = stringField(areaPlace, 'type');
  // Beyond 2^53 no area can lie in the 128 MiB there are; areas.ts refuses what the rounding leaves.
  const area = { offset: Number(decimalField(areaPlace, 'offset')), size: Number(decimalField(areaPlace, 'size')) };
  const common = { id, type, keySize, area };
  if (type !== 'luks2') return { kind: 'foreign', ...common };

  const kdf = readKdf(objectField(place, 'kdf'));
  const af = objectField(place, 'af');
  if (stringField(af, 'type') !== 'luks1') throw invalid(`${af.where}.type`, 'only the type luks1 exists');
  integerField(af, 'stripes', STRIPES, STRIPES);
  if (areaType !== 'raw') throw invalid(`${areaPlace.where}.type`, 'only the type raw exists');
  if (area.size < stripesSize(keySize)) {
    throw invalid(
      `${areaPlace.where}.size`,
      `a key of ${keySize} bytes takes ${stripesSize(keySize)} bytes, not ${area.size}`,
    );
  }
  return {
    kind: 'luks2',
    ...common,
    priority: place.object.has('priority') ? integerField(place, 'priority', 0, 2) : 1,
    kdf,
    afHash: stringField(af, 'hash'),
    encryption: stringField(areaPlace, 'encryption'),
    encryptionKeySize: integerField(areaPlace, 'key_size', 1, MAX_KEY_SIZE),
  };
}

function readKdf(place: Place): Kdf {
  const type = stringField(place, 'type');
  if (type === 'pbkdf2') {
    onlyFields(place, ['type', 'hash', 'iterations', 'salt']);
    const hash = stringField(place, 'hash');
    return {
      type,
      hash,
      iterations: integerField(place, 'iterations', 1),
      salt: base64Field(place, 'salt', SALT_SIZE),
    };
  }
  if (type === 'argon2i' || type === 'argon2id') {
    onlyFields(place, ['type', 'time', 'memory', 'cpus', 'salt']);
    const time = integerField(place, 'time', 1);
    const memory = integerField(place, 'memory', 1);
    return { type, time, memory, cpus: integerField(place, 'cpus', 1), salt: base64Field(place, 'salt', SALT_SIZE) };
  }
  return { type: 'foreign', name: type };
}

function onlyFields({ object, where }: Place, names: readonly string[]): void {
  if (object.size === names.length && names.every((name) => object.has(name))) return;
  throw invalid(where, `must have exactly the fields ${names.join(', ')}`);
}
