import * as crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createIdAuth, type EcdsaSigner, ID_AUTH_SIZE, verifyIdBlock } from '../../../src/core/attestation/id-auth.ts';
import { encodeIdBlock, ID_BLOCK_SIZE, parseIdBlock } from '../../../src/core/attestation/id-block.ts';
import { parseSnpPolicy } from '../../../src/core/attestation/snp-policy.ts';
import { base64ToBytes, bytesToBase64 } from '../../../src/core/base64.ts';
import { encodeEcKey } from '../../../src/core/session/ec-encoding.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { nodePublicKey } from '../../../src/host/public-key.ts';
import { signerOf } from '../../../src/host/signing-key.ts';
import { failure, HINT } from '../../failure.ts';
import { fixture, vectors } from '../../fixtures.ts';

interface Groups {
  readonly groups: {
    readonly id_block: {
      readonly id: string;
      readonly inputs: Readonly<Record<string, string>> & { readonly guest_svn: number };
      readonly expected: Readonly<Record<'id_block' | 'id_key_digest' | 'author_key_digest', string>>;
    }[];
    readonly id_auth: { readonly expected: { readonly id_auth_file: string; readonly sha256: string } }[];
  };
}

const { groups } = vectors<Groups>('measurement.json');
const checks = { publicKey: nodePublicKey, hashes: nodeHashes };
const signer = (file: string) => signerOf(fixture(file), file);

describe.each(groups.id_block)('the ID block of $id', ({ inputs, expected }) => {
  const made = encodeIdBlock({
    launchDigest: base64ToBytes(inputs['launch_digest_base64'] ?? ''),
    familyId: new Uint8Array(16),
    imageId: new Uint8Array(16),
    guestSvn: inputs.guest_svn,
    policy: parseSnpPolicy(inputs['policy'] ?? ''),
  });

  it('is the peer’s byte for byte', () => {
    expect(bytesToBase64(made)).toBe(expected.id_block);
  });

  it('verifies with keys of the peer’s digests', () => {
    const auth = createIdAuth(made, signer(inputs['id_key'] ?? ''), signer(inputs['author_key'] ?? ''));
    const { idKeyDigest, authorKeyDigest } = verifyIdBlock(made, auth, checks);
    expect(bytesToBase64(idKeyDigest)).toBe(expected.id_key_digest);
    expect(bytesToBase64(authorKeyDigest ?? made)).toBe(expected.author_key_digest);
  });
});

describe('the authentication information of the sev crate', () => {
  const [, { expected: block }] = groups.id_block as [unknown, (typeof groups.id_block)[0]];
  const [{ expected }] = groups.id_auth as [(typeof groups.id_auth)[0]];
  const auth = fixture(expected.id_auth_file);

  it('verifies over its block, and over no other', () => {
    expect(crypto.createHash('sha256').update(auth).digest('hex')).toBe(expected.sha256);
    expect(bytesToBase64(verifyIdBlock(base64ToBytes(block.id_block), auth, checks).idKeyDigest)).toBe(
      block.id_key_digest,
    );
    const other = base64ToBytes(groups.id_block[0]?.expected.id_block ?? '');
    expect(failure(() => verifyIdBlock(other, auth, checks))).toEqual({
      kind: 'mismatch',
      message: 'ID auth: the signature by the ID key is wrong',
      hint: HINT,
    });
  });

  it('is where ours has the same keys', () => {
    const ours = createIdAuth(
      base64ToBytes(block.id_block),
      signer('sev-crate/measurement/test_id_key.pem'),
      signer('sev-crate/measurement/test_auth_key.pem'),
    );
    // Signatures are random; all around them is not.
    for (const signature of [0x40, 0x680]) {
      ours.fill(0, signature, signature + 144);
      auth.fill(0, signature, signature + 144);
    }
    expect(Buffer.from(ours).equals(auth)).toBe(true);
  });
});

/** Uncompressed, with its first byte. */
const POINT_SIZE = 97;

const keyPair = (curve = 'secp384r1') =>
  crypto
    .generateKeyPairSync('ec', { namedCurve: curve })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
const fresh = (curve?: string): EcdsaSigner => signerOf(Buffer.from(keyPair(curve)), 'key');

const FIELDS = {
  launchDigest: new Uint8Array(48).fill(7),
  familyId: new Uint8Array(16).fill(1),
  imageId: new Uint8Array(16).fill(2),
  guestSvn: 0xffffffff,
  policy: 0x30000n,
};
const BLOCK = encodeIdBlock(FIELDS);
const [ID, AUTHOR] = [fresh(), fresh()];
const AUTH = createIdAuth(BLOCK, ID, AUTHOR);
const ALONE = createIdAuth(BLOCK, ID);

describe('an ID block', () => {
  it('is read as it was written', () => {
    expect(parseIdBlock(BLOCK)).toEqual(FIELDS);
    expect(BLOCK).toHaveLength(ID_BLOCK_SIZE);
    expect(AUTH).toHaveLength(ID_AUTH_SIZE);
  });

  it.each([
    [{ launchDigest: new Uint8Array(32) }, 'format', 'ID block.launchDigest: needs 48 bytes, got 32'],
    [{ familyId: new Uint8Array(15) }, 'format', 'ID block.familyId: needs 16 bytes, got 15'],
    [{ guestSvn: 2 ** 32 }, 'format', 'ID block.guestSvn: 4294967296 does not fit in 4 bytes'],
    [{ policy: 0x10000n }, 'usage', 'ID block: its policy: bit 17 must be one'],
    [{ policy: 1n << 26n }, 'usage', 'ID block: its policy: bits 26-63 must be zero'],
    [{ policy: -1n }, 'usage', 'ID block: its policy: bits 26-63 must be zero'],
  ])('is not made of wrong fields (%#)', (change, kind, message) => {
    expect(failure(() => encodeIdBlock({ ...FIELDS, ...change }))).toEqual({ kind, message, hint: HINT });
  });

  it.each([
    [BLOCK.subarray(1), 'ID block: has 96 bytes, not 95'],
    [changed(BLOCK, 80, 2), 'ID block: version 2 is not known'],
    [changed(BLOCK, 90, 1), 'ID block: its policy: bit 17 must be one'],
  ])('is refused when changed (%#)', (bytes, message) => {
    expect(failure(() => parseIdBlock(bytes))).toEqual({ kind: 'format', message, hint: HINT });
  });
});

describe('authentication information', () => {
  it('says whose block it is', () => {
    const sha384 = (key: EcdsaSigner) => nodeHashes.sha384(encodeEcKey(key.publicKey));
    expect(verifyIdBlock(BLOCK, AUTH, checks)).toEqual({
      ...FIELDS,
      idKeyDigest: sha384(ID),
      authorKeyDigest: sha384(AUTHOR),
    });
    expect(verifyIdBlock(BLOCK, ALONE, checks)).toMatchObject({ idKeyDigest: sha384(ID), authorKeyDigest: undefined });
  });

  it.each<[string, Uint8Array, string, string]>([
    ['cut', AUTH.subarray(1), 'format', 'ID auth: has 4096 bytes, not 4095'],
    ['of another algorithm', changed(AUTH, 0, 2), 'format', 'ID auth: the algorithm 2 of the ID key is not known'],
    [
      'of another author algorithm',
      changed(AUTH, 4, 2),
      'format',
      'ID auth: the algorithm 2 of the author key is not known',
    ],
    [
      'with an author and no algorithm',
      changed(AUTH, 4, 0),
      'format',
      'ID auth: there is an author key, and no algorithm for it',
    ],
    ['with an algorithm and no author', changed(ALONE, 4, 1), 'format', 'ID auth: the author key: curve 0 is unknown'],
    ['with something behind', changed(AUTH, 4095, 1), 'format', 'ID auth: reserved bytes are not zero'],
    ['with something before', changed(AUTH, 8, 1), 'format', 'ID auth: reserved bytes are not zero'],
    ['with something between', changed(AUTH, 0x644, 1), 'format', 'ID auth: reserved bytes are not zero'],
    ['with a changed signature', flipped(AUTH, 0x40), 'mismatch', 'ID auth: the signature by the ID key is wrong'],
    [
      'with a changed author signature',
      flipped(AUTH, 0x680),
      'mismatch',
      'ID auth: the signature by the author key is wrong',
    ],
    [
      'with a long number',
      changed(AUTH, 0x40 + 50, 1),
      'format',
      'ID auth: the signature by the ID key has numbers longer than those of P-384',
    ],
    ['of another author', createdBy(ID, fresh()), 'mismatch', 'ID auth: the signature by the author key is wrong'],
  ])('is refused when it is %s', (_, auth, kind, message) => {
    expect(failure(() => verifyIdBlock(BLOCK, auth, checks))).toEqual({ kind, message, hint: HINT });
  });

  it('is refused on the weaker curve', () => {
    const weak = { kind: 'ec', curve: 'P-256', x: new Uint8Array(32), y: new Uint8Array(32) } as const;
    const auth = createIdAuth(BLOCK, { ...ID, publicKey: weak });
    expect(failure(() => verifyIdBlock(BLOCK, auth, checks))).toMatchObject({
      kind: 'format',
      message: 'ID auth: the ID key is on P-256, not on P-384',
    });
  });
});

const HALVES = 'key: the public point in it is not the one of its private number';

describe('a signing key', () => {
  it.each([
    ['text', 'no key', 'format', 'key: no private key in PEM'],
    ['on another curve', keyPair('prime256v1'), 'usage', 'key: the key is not on P-384'],
    ['on a curve of the same size', keyPair('brainpoolP384r1'), 'usage', 'key: the key is not on P-384'],
    ['with a passphrase', locked(), 'key', 'key: the key has a passphrase'],
    ['with the point of another key, in PKCS #8', halved('pkcs8'), 'format', HALVES],
    ['with the point of another key, in SEC 1', halved('sec1'), 'format', HALVES],
    ['with no number', halved('sec1', (number) => number.fill(0)), 'format', HALVES],
    ['with too large a number', halved('sec1', (number) => number.fill(0xff)), 'format', HALVES],
  ])('is refused when it is %s, and nothing of it is said', (_, pem, kind, message) => {
    expect(failure(() => signerOf(Buffer.from(pem), 'key'))).toEqual({ kind, message, hint: HINT });
  });

  it.each([
    ['PKCS #8', { type: 'pkcs8', format: 'der' }],
    ['SEC 1', { type: 'sec1', format: 'der' }],
    ['PKCS #8 with a passphrase', { type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: 'x' }],
  ] as const)('in DER (%s) is refused with how to make PEM of it', (_, options) => {
    const der = crypto.createPrivateKey(keyPair()).export(options as crypto.KeyExportOptions<'der'>);
    expect(failure(() => signerOf(der, 'key'))).toEqual({
      kind: 'format',
      message: 'key: the key is in DER, not in PEM',
      hint: expect.stringContaining('openssl pkey -inform DER -in key.der -out key.pem'),
    });
  });
});

/** Returns a key in PEM that ends in the point of another one, or with another number where `change` makes one. */
function halved(type: 'pkcs8' | 'sec1', change?: (number: Uint8Array) => void): string {
  const der = () => crypto.createPrivateKey(keyPair()).export({ type, format: 'der' });
  const key = der();
  // The point is what both encodings end in; SEC 1 begins with eight bytes before the number (RFC 5915).
  if (change === undefined) key.set(der().subarray(-POINT_SIZE), key.length - POINT_SIZE);
  else change(key.subarray(8, 56));
  const label = type === 'sec1' ? 'EC PRIVATE KEY' : 'PRIVATE KEY';
  return `-----BEGIN ${label}-----\n${key.toString('base64')}\n-----END ${label}-----\n`;
}

function locked(): string {
  const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const;
  return crypto.createPrivateKey(keyPair()).export(options).toString();
}

function createdBy(id: EcdsaSigner, author: EcdsaSigner): Uint8Array {
  const auth = createIdAuth(BLOCK, id, AUTHOR);
  auth.set(encodeEcKey(author.publicKey), 0x880);
  return auth;
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return changed(bytes, at, (bytes[at] ?? 0) ^ 1);
}
