/** @module What `image inspect` says of an image, as the object of --json. */

import { BootsealError } from '../core/errors.ts';
import { type LuksHeader, passphraseSlots } from '../core/luks/image.ts';
import type { Luks1Header } from '../core/luks/luks1.ts';
import { type CopyState, copiesAgree, type Luks2Header } from '../core/luks/luks2.ts';
import type { Kdf } from '../core/luks/metadata/keyslots.ts';
import type { Segment } from '../core/luks/metadata/segments.ts';
import type { Token } from '../core/luks/metadata/tokens.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { type TokenMeaning, tokenMeaning } from '../core/luks/token.ts';

/** A key derivation with what it costs; one that is not known has only its name. */
export type KdfCost =
  | { readonly type: 'pbkdf2'; readonly hash: string; readonly iterations: number }
  | { readonly type: 'argon2i' | 'argon2id'; readonly time: number; readonly memoryKib: number; readonly cpus: number }
  | { readonly type: string };

/** One copy of the header. */
export type Copy =
  | { readonly state: 'good' | 'obsolete'; readonly seqid: string }
  | { readonly state: 'bad'; readonly reason: string };

/** The object of --json. Offsets and sizes are bytes. */
export interface ImageDescription {
  readonly version: 1 | 2;
  readonly uuid: string;
  readonly label: string | null;
  readonly subsystem: string | null;
  /** Null for LUKS1, whose header has no second copy. */
  readonly copies: { readonly primary: Copy; readonly secondary: Copy; readonly agree: boolean } | null;
  readonly keyslots: readonly {
    readonly id: number;
    readonly type: string;
    readonly keyBytes: number;
    readonly priority: number | null;
    readonly encryption: string | null;
    readonly encryptionKeyBytes: number | null;
    readonly kdf: KdfCost | null;
    readonly offset: number;
  }[];
  readonly segments: readonly {
    readonly id: number;
    readonly type: string;
    readonly offset: number;
    /** Null up to the end of the device. */
    readonly size: number | null;
    readonly encryption: string | null;
    readonly sectorSize: number | null;
    readonly integrity: string | null;
  }[];
  readonly tokens: readonly {
    readonly id: number;
    readonly type: string;
    readonly keyslots: readonly number[];
    /** GUID of the launch secret, of a bootseal token. */
    readonly secret: string | null;
    /** Key of the kernel's keyring, of a luks2-keyring token. */
    readonly keyDescription: string | null;
  }[];
  readonly digests: readonly {
    readonly id: number;
    readonly type: string;
    readonly keyslots: readonly number[];
    readonly segments: readonly number[];
  }[];
  readonly flags: readonly string[];
  readonly requirements: readonly string[];
  readonly policy: {
    readonly accepted: boolean;
    readonly findings: readonly { readonly rule: string; readonly message: string }[];
  };
}

/** Describes a header. */
export function describeImage(header: LuksHeader): ImageDescription {
  const findings = checkHeaderPolicy(header);
  const policy = { accepted: findings.length === 0, findings };
  return { ...(header.version === 1 ? describeLuks1(header) : describeLuks2(header)), policy };
}

function describeLuks1(header: Luks1Header): Omit<ImageDescription, 'policy'> {
  const ids = passphraseSlots(header).map(({ id }) => id);
  return {
    version: 1,
    uuid: header.uuid,
    label: null,
    subsystem: null,
    copies: null,
    keyslots: passphraseSlots(header).map(({ id, keySize, encryption, kdf, offset }) => ({
      ...{ id, type: 'luks1', keyBytes: keySize, priority: null, encryption, encryptionKeyBytes: keySize },
      ...{ kdf: describeKdf(kdf), offset },
    })),
    segments: [
      {
        ...{ id: 0, type: 'crypt', offset: header.payloadOffset, size: null, encryption: header.encryption },
        ...{ sectorSize: 512, integrity: null },
      },
    ],
    tokens: [],
    digests: [{ id: 0, type: 'pbkdf2', keyslots: ids, segments: [0] }],
    flags: [],
    requirements: [],
  };
}

function describeLuks2(header: Luks2Header): Omit<ImageDescription, 'policy'> {
  const { uuid, label, subsystem, metadata } = header.current;
  const { primary, secondary } = header.copies;
  return {
    ...{ version: 2, uuid, label, subsystem },
    copies: { primary: describeCopy(primary), secondary: describeCopy(secondary), agree: copiesAgree(header) },
    keyslots: metadata.keyslots.map((slot) => {
      const common = { id: slot.id, type: slot.type, keyBytes: slot.keySize };
      const { offset } = slot.area;
      if (slot.kind === 'foreign') {
        return { ...common, priority: null, encryption: null, encryptionKeyBytes: null, kdf: null, offset };
      }
      const { priority, encryption, encryptionKeySize } = slot;
      return {
        ...common,
        priority,
        encryption,
        encryptionKeyBytes: encryptionKeySize,
        kdf: describeKdf(slot.kdf),
        offset,
      };
    }),
    segments: metadata.segments.map(describeSegment),
    tokens: metadata.tokens.map((token) => {
      const meaning = meaningOf(token);
      return {
        ...{ id: token.id, type: token.type, keyslots: token.keyslots },
        secret: meaning?.type === 'bootseal' ? meaning.secret : null,
        keyDescription: meaning?.type === 'luks2-keyring' ? meaning.keyDescription : null,
      };
    }),
    digests: metadata.digests.map(({ id, type, keyslots, segments }) => ({ id, type, keyslots, segments })),
    flags: metadata.config.flags,
    requirements: metadata.config.requirements,
  };
}

/** A token that breaks the rules of its type is shown as one of an unknown type: nothing depends on it here. */
function meaningOf(token: Token): TokenMeaning | undefined {
  try {
    return tokenMeaning(token);
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return undefined;
  }
}

function describeCopy(copy: CopyState): Copy {
  return copy.state === 'bad' ? copy : { state: copy.state, seqid: copy.copy.seqid.toString() };
}

function describeKdf(kdf: Kdf): KdfCost {
  if (kdf.type === 'foreign') return { type: kdf.name };
  if (kdf.type === 'pbkdf2') return { type: kdf.type, hash: kdf.hash, iterations: kdf.iterations };
  return { type: kdf.type, time: kdf.time, memoryKib: kdf.memory, cpus: kdf.cpus };
}

function describeSegment({ id, type, offset, size, crypt }: Segment): ImageDescription['segments'][number] {
  return {
    ...{ id, type, offset: Number(offset), size: size === 'dynamic' ? null : Number(size) },
    encryption: crypt?.encryption ?? null,
    sectorSize: crypt?.sectorSize ?? null,
    integrity: crypt?.integrity?.type ?? null,
  };
}
