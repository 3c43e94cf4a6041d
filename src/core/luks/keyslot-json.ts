/** @module The JSON object of a keyslot of LUKS2 that is made here. */
import { bytesToBase64 } from '../base64.ts';
import { type JsonObject, toJson } from './metadata/json.ts';
import { type KnownKdf, STRIPES } from './metadata/keyslots.ts';

/** What a new keyslot is. */
export interface NewKeyslot {
  /** Bytes of the volume key. */
  readonly keySize: number;
  readonly kdf: KnownKdf;
  readonly afHash: string;
  /** Cipher of the area, such as `aes-xts-plain64`, and the bytes of its key. */
  readonly encryption: string;
  readonly encryptionKeySize: number;
  /** Bytes from the start of the header. */
  readonly area: { readonly offset: number; readonly size: number };
  /** 0: only when asked for by number, 1 (the default), 2: tried first. */
  readonly priority?: number | undefined;
}

/** Returns the object, with exactly the fields that cryptsetup wants and in its order. */
export function keyslotJson(slot: NewKeyslot): JsonObject {
  const { keySize, kdf, afHash, encryption, encryptionKeySize, area, priority } = slot;
  const salt = bytesToBase64(kdf.salt);
  return toJson({
    type: 'luks2',
    key_size: keySize,
    af: { type: 'luks1', stripes: STRIPES, hash: afHash },
    area: {
      ...{ type: 'raw', offset: String(area.offset), size: String(area.size) },
      ...{ encryption, key_size: encryptionKeySize },
    },
    kdf:
      kdf.type === 'pbkdf2'
        ? { type: kdf.type, hash: kdf.hash, iterations: kdf.iterations, salt }
        : { type: kdf.type, time: kdf.time, memory: kdf.memory, cpus: kdf.cpus, salt },
    ...(priority === undefined ? {} : { priority }),
  });
}
