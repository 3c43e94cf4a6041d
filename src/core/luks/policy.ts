/**
 * @module The header policy: what an unauthenticated LUKS header must say before a guest may trust a disk that the host keeps.
 * Whoever can write to the disk can write to the header, and could turn encryption off (CVE-2025-59054, CVE-2025-58356).
 */
import { isNullCipher } from './cipher.ts';
import { type LuksHeader, passphraseSlots } from './image.ts';
import { KDF_LIMITS, type KdfLimits, kdfCostProblem } from './kdf.ts';
import type { Luks1Header } from './luks1.ts';
import { copiesAgree, type Luks2Header } from './luks2.ts';
import type { Segment } from './metadata/segments.ts';
import { quoted } from './quote.ts';

/** A way to encrypt data that the policy accepts. */
export interface AllowedCipher {
  readonly encryption: string;
  /** Bytes of the volume key, with the key of the tags where there are any. */
  readonly keySize: number;
  /** The integrity of the segment; null for none. */
  readonly integrity: string | null;
}

/** What the owner accepts. */
export interface HeaderPolicy {
  readonly ciphers: readonly AllowedCipher[];
  /** For keyslot areas. */
  readonly keyslotCiphers: readonly { readonly encryption: string; readonly keySize: number }[];
  readonly limits: KdfLimits;
}

/** A rule of the policy that a header breaks. */
export interface PolicyFinding {
  readonly rule: PolicyRule;
  /** One sentence without a full stop. */
  readonly message: string;
}

export type PolicyRule =
  | 'copies-agree'
  | 'requirements'
  | 'one-segment'
  | 'null-cipher'
  | 'cipher'
  | 'keyslot-type'
  | 'keyslot-cipher'
  | 'kdf-cost'
  | 'one-key';

/** AES-XTS with a key of 256 or 512 bits, alone or under HMAC, and AES-256-GCM. */
export const DEFAULT_POLICY: HeaderPolicy = {
  ciphers: [
    { encryption: 'aes-xts-plain64', keySize: 64, integrity: null },
    { encryption: 'aes-xts-plain64', keySize: 32, integrity: null },
    { encryption: 'aes-xts-plain64', keySize: 96, integrity: 'hmac(sha256)' },
    { encryption: 'aes-xts-random', keySize: 96, integrity: 'hmac(sha256)' },
    { encryption: 'aes-gcm-random', keySize: 32, integrity: 'aead' },
  ],
  keyslotCiphers: [
    { encryption: 'aes-xts-plain64', keySize: 64 },
    { encryption: 'aes-xts-plain64', keySize: 32 },
  ],
  limits: KDF_LIMITS,
};

/** Returns every rule that the header breaks; none means that it may be used. */
export function checkHeaderPolicy(header: LuksHeader, policy: HeaderPolicy = DEFAULT_POLICY): readonly PolicyFinding[] {
  const own = header.version === 1 ? luks1Findings(header, policy) : luks2Findings(header, policy);
  return [...own, ...keyslotFindings(header, policy)];
}

function luks1Findings({ encryption, keySize }: Luks1Header, policy: HeaderPolicy): readonly PolicyFinding[] {
  return cipherFindings('the data', { encryption, keySize, integrity: null }, policy);
}

function luks2Findings(header: Luks2Header, policy: HeaderPolicy): readonly PolicyFinding[] {
  const { segments, keyslots, digests, config } = header.current.metadata;
  const findings: PolicyFinding[] = [];
  if (!copiesAgree(header))
    findings.push({ rule: 'copies-agree', message: 'the two copies of the header do not agree' });
  for (const name of config.requirements) {
    findings.push({ rule: 'requirements', message: `the header requires ${quoted(name)}` });
  }
  if (segments.length !== 1) {
    findings.push({ rule: 'one-segment', message: `there are ${segments.length} segments instead of one` });
  }
  for (const segment of segments) findings.push(...segmentFindings(segment, header, policy));
  for (const { id, kind, type } of keyslots) {
    if (kind === 'foreign')
      findings.push({ rule: 'keyslot-type', message: `keyslot ${id} is of the type ${quoted(type)}` });
  }
  if (digests.length !== 1) {
    findings.push({ rule: 'one-key', message: `there are ${digests.length} volume keys instead of one` });
  }
  return findings;
}

function segmentFindings(segment: Segment, header: Luks2Header, policy: HeaderPolicy): readonly PolicyFinding[] {
  const { keyslots, digests } = header.current.metadata;
  const what = `segment ${segment.id}`;
  if (segment.type !== 'crypt' || segment.crypt === undefined) {
    return [{ rule: 'cipher', message: `${what} is of the type ${quoted(segment.type)}, not encrypted by LUKS` }];
  }
  const { encryption, integrity } = segment.crypt;
  const bound = digests.filter((digest) => digest.segments.includes(segment.id)).flatMap((digest) => digest.keyslots);
  // All sizes of the keys that may open it: one that differs would be used with another cipher.
  const sizes = new Set(keyslots.filter(({ id }) => bound.includes(id)).map(({ keySize }) => keySize));
  if (sizes.size === 0) return [{ rule: 'one-key', message: `no keyslot has the key of ${what}` }];
  return [...sizes].flatMap((keySize) =>
    cipherFindings(what, { encryption, keySize, integrity: integrity?.type ?? null }, policy),
  );
}

function cipherFindings(what: string, used: AllowedCipher, { ciphers }: HeaderPolicy): readonly PolicyFinding[] {
  const { encryption, keySize, integrity } = used;
  if (isNullCipher(encryption)) return [{ rule: 'null-cipher', message: `${what} is not encrypted at all` }];
  const isAllowed = ciphers.some(
    (allowed) => allowed.encryption === encryption && allowed.keySize === keySize && allowed.integrity === integrity,
  );
  if (isAllowed) return [];
  const tags = integrity === null ? '' : ` and the integrity ${quoted(integrity)}`;
  return [
    { rule: 'cipher', message: `${what} has the cipher ${quoted(encryption)} with ${keySize} bytes of key${tags}` },
  ];
}

function keyslotFindings(header: LuksHeader, policy: HeaderPolicy): readonly PolicyFinding[] {
  return passphraseSlots(header).flatMap((slot) => {
    const { where, encryption, encryptionKeySize } = slot;
    const findings: PolicyFinding[] = [];
    if (isNullCipher(encryption)) {
      findings.push({ rule: 'null-cipher', message: `${where} is not encrypted at all: any passphrase would open it` });
    } else if (
      !policy.keyslotCiphers.some(
        (allowed) => allowed.encryption === encryption && allowed.keySize === encryptionKeySize,
      )
    ) {
      const message = `${where} has the cipher ${quoted(encryption)} with ${encryptionKeySize} bytes of key`;
      findings.push({ rule: 'keyslot-cipher', message });
    }
    const cost = kdfCostProblem(slot.kdf, policy.limits);
    if (cost !== undefined) findings.push({ rule: 'kdf-cost', message: `${where}: ${cost}` });
    return findings;
  });
}
