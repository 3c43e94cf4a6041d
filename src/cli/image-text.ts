/** @module What `image inspect` prints: the object of --json, and the same for a person. */

import { BootsealError } from '../core/errors.ts';
import { type LuksHeader, passphraseSlots } from '../core/luks/image.ts';
import type { Luks1Header } from '../core/luks/luks1.ts';
import { type CopyState, copiesAgree, type Luks2Header } from '../core/luks/luks2.ts';
import type { Kdf } from '../core/luks/metadata/keyslots.ts';
import type { Segment } from '../core/luks/metadata/segments.ts';
import type { Token } from '../core/luks/metadata/tokens.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { quoted } from '../core/luks/quote.ts';
import { type TokenMeaning, tokenMeaning } from '../core/luks/token.ts';
import { secretName } from '../core/secret/names.ts';

type KdfCost =
  | { readonly type: 'pbkdf2'; readonly hash: string; readonly iterations: number }
  | { readonly type: 'argon2i' | 'argon2id'; readonly time: number; readonly memoryKib: number; readonly cpus: number }
  | { readonly type: string };

type Copy =
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

/** Returns the description for a person; names out of the header are quoted, since their writer may be hostile. */
export function imageText(image: ImageDescription): string {
  const lines = [
    `LUKS${image.version}, UUID ${quoted(image.uuid)}${named('label', image.label)}${named('subsystem', image.subsystem)}`,
    ...(image.copies === null
      ? []
      : [`header: primary ${copyText(image.copies.primary)}, secondary ${copyText(image.copies.secondary)}`]),
    ...image.keyslots.map(keyslotText),
    ...image.segments.map(segmentText),
    ...image.tokens.map(tokenText),
    ...image.digests.map(
      ({ id, keyslots, segments }) =>
        `digest ${id}: of the key in ${many('keyslot', keyslots)}, for ${many('segment', segments)}`,
    ),
    ...(image.flags.length === 0 ? [] : [`flags: ${image.flags.map(quoted).join(', ')}`]),
    ...(image.requirements.length === 0 ? [] : [`requirements: ${image.requirements.map(quoted).join(', ')}`]),
    image.policy.accepted ? 'policy: accepted' : 'policy: refused',
    ...image.policy.findings.map(({ rule, message }) => `  ${rule}: ${message}`),
  ];
  return `${lines.join('\n')}\n`;
}

function named(what: string, name: string | null): string {
  return name === null || name === '' ? '' : `, ${what} ${quoted(name)}`;
}

function copyText(copy: Copy): string {
  return copy.state === 'bad' ? `bad (${copy.reason})` : `${copy.state} (sequence ${copy.seqid})`;
}

const PRIORITY = ['only when asked for', 'normal priority', 'tried first'];

function keyslotText({
  id,
  type,
  keyBytes,
  priority,
  encryption,
  encryptionKeyBytes,
  kdf,
}: ImageDescription['keyslots'][number]): string {
  const key = `keyslot ${id}: key of ${keyBytes * 8} bits`;
  if (encryption === null || encryptionKeyBytes === null || kdf === null) return `${key}, of the type ${quoted(type)}`;
  const order = priority === null ? '' : `, ${PRIORITY[priority]}`;
  return `${key} under ${quoted(encryption)} of ${encryptionKeyBytes * 8} bits, ${kdfText(kdf)}${order}`;
}

function kdfText(kdf: KdfCost): string {
  if ('iterations' in kdf) return `pbkdf2 of ${quoted(kdf.hash)} with ${kdf.iterations} iterations`;
  if ('time' in kdf)
    return `${kdf.type} with ${kdf.time} passes over ${kdf.memoryKib} KiB in ${kdf.cpus} ${kdf.cpus === 1 ? 'lane' : 'lanes'}`;
  return `key derivation ${quoted(kdf.type)}`;
}

function segmentText({
  id,
  type,
  offset,
  size,
  encryption,
  sectorSize,
  integrity,
}: ImageDescription['segments'][number]): string {
  const place = `segment ${id}: ${size === null ? 'all' : `${size} bytes`} from ${offset}`;
  if (encryption === null) return `${place}, of the type ${quoted(type)}`;
  const tags = integrity === null ? 'no integrity' : `integrity ${quoted(integrity)}`;
  return `${place}, ${quoted(encryption)} in sectors of ${sectorSize}, ${tags}`;
}

function tokenText({ id, type, keyslots, secret, keyDescription }: ImageDescription['tokens'][number]): string {
  const token = `token ${id}: ${quoted(type)} for ${many('keyslot', keyslots)}`;
  if (secret !== null) return `${token}, launch secret ${secretName(secret) ?? secret}`;
  return keyDescription === null ? token : `${token}, key ${quoted(keyDescription)} of the keyring`;
}

function many(what: string, numbers: readonly number[]): string {
  return numbers.length === 0 ? `no ${what}` : `${what}${numbers.length === 1 ? '' : 's'} ${numbers.join(', ')}`;
}
