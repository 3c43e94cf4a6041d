/**
 * @module The SNP ID authentication information (AMD SEV-SNP firmware ABI 56860, SNP_LAUNCH_FINISH, "ID Authentication Information"): the owner's
 * signature of an ID block, the key for it, and where there is one, an author's signature of that key.
 */
import { bytes, layout, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import {
  EC_KEY_SIZE,
  ECDSA_SIZE,
  type EcdsaNumbers,
  ecdsaNumbers,
  encodeEcdsa,
  encodeEcKey,
  parseEcKey,
} from '../session/ec-encoding.ts';
import { COORDINATE_SIZE, type EcPublicKey, type PublicKeyOperations } from '../session/public-key.ts';
import { type IdBlockFields, parseIdBlock } from './id-block.ts';

const IdAuth = layout('ID auth', {
  idKeyAlgorithm: u32le,
  authorKeyAlgorithm: u32le,
  reserved_008: bytes(56),
  idBlockSignature: bytes(ECDSA_SIZE),
  idKey: bytes(EC_KEY_SIZE),
  reserved_644: bytes(60),
  idKeySignature: bytes(ECDSA_SIZE),
  authorKey: bytes(EC_KEY_SIZE),
  reserved_c84: bytes(892),
});

/** ECDSA on P-384 with SHA-384, the only algorithm there is. */
const ECDSA_P384 = 1;
const NONE = 0;

/** Bytes of the authentication information. */
export const ID_AUTH_SIZE = IdAuth.size;

/** Someone who signs with a key on P-384; src/host/signing-key.ts makes one of a file. */
export interface EcdsaSigner {
  readonly publicKey: EcPublicKey;
  /** ECDSA with SHA-384. */
  sign(message: Uint8Array): EcdsaNumbers;
}

/** Whose launch it is: the digests stand in every report of the guest. */
export interface IdOwners {
  /** 48 bytes: SHA-384 of the ID key as it is stored. */
  readonly idKeyDigest: Uint8Array;
  /** Of the author's key; undefined without an author. */
  readonly authorKeyDigest: Uint8Array | undefined;
}

/** Returns the 4096 bytes for an encoded ID block; with `author` the ID key itself is signed. */
export function createIdAuth(idBlock: Uint8Array, idKey: EcdsaSigner, author?: EcdsaSigner): Uint8Array {
  const storedKey = encodeEcKey(idKey.publicKey);
  return IdAuth.pack({
    idKeyAlgorithm: ECDSA_P384,
    authorKeyAlgorithm: author === undefined ? NONE : ECDSA_P384,
    reserved_008: new Uint8Array(56),
    idBlockSignature: encodeEcdsa(idKey.sign(idBlock)),
    idKey: storedKey,
    reserved_644: new Uint8Array(60),
    idKeySignature: author === undefined ? new Uint8Array(ECDSA_SIZE) : encodeEcdsa(author.sign(storedKey)),
    authorKey: author === undefined ? new Uint8Array(EC_KEY_SIZE) : encodeEcKey(author.publicKey),
    reserved_c84: new Uint8Array(892),
  });
}

/** What checking needs. */
export interface IdChecks {
  readonly publicKey: Pick<PublicKeyOperations, 'verifyEcdsa'>;
  readonly hashes: Pick<Hashes, 'sha384'>;
}

/**
 * Checks an ID block and its authentication information as the platform does, and returns what they say. Throws `format` for what no
 * platform takes, `mismatch` for a signature that is wrong. Whose keys they are is for the caller to compare.
 */
export function verifyIdBlock(
  idBlock: Uint8Array,
  idAuth: Uint8Array,
  { publicKey, hashes }: IdChecks,
): IdBlockFields & IdOwners {
  const fields = parseIdBlock(idBlock);
  if (idAuth.length !== ID_AUTH_SIZE) throw refusal(`has ${ID_AUTH_SIZE} bytes, not ${idAuth.length}`);
  const auth = IdAuth.unpack(idAuth);
  if (auth.idKeyAlgorithm !== ECDSA_P384)
    throw refusal(`the algorithm ${auth.idKeyAlgorithm} of the ID key is not known`);
  if (!isZero(auth.reserved_008, auth.reserved_644, auth.reserved_c84)) throw refusal('reserved bytes are not zero');
  const check = (what: string, storedKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => {
    const key = parseEcKey(storedKey, `ID auth: the ${what}`);
    if (key.curve !== 'P-384') throw refusal(`the ${what} is on ${key.curve}, not on P-384`);
    const numbers = ecdsaNumbers(signature, COORDINATE_SIZE[key.curve]);
    if (numbers === undefined) throw refusal(`the signature by the ${what} has numbers longer than those of P-384`);
    if (!publicKey.verifyEcdsa(key, 'sha384', message, numbers.r, numbers.s)) throw wrongSignature(what);
    return hashes.sha384(storedKey);
  };
  const idKeyDigest = check('ID key', auth.idKey, idBlock, auth.idBlockSignature);
  if (auth.authorKeyAlgorithm === NONE) {
    if (!isZero(auth.authorKey, auth.idKeySignature)) throw refusal('there is an author key, and no algorithm for it');
    return { ...fields, idKeyDigest, authorKeyDigest: undefined };
  }
  if (auth.authorKeyAlgorithm !== ECDSA_P384) {
    throw refusal(`the algorithm ${auth.authorKeyAlgorithm} of the author key is not known`);
  }
  return {
    ...fields,
    idKeyDigest,
    authorKeyDigest: check('author key', auth.authorKey, auth.idKey, auth.idKeySignature),
  };
}

const isZero = (...parts: readonly Uint8Array[]): boolean => parts.every((part) => part.every((byte) => byte === 0));

const wrongSignature = (what: string): BootsealError =>
  new BootsealError('mismatch', `ID auth: the signature by the ${what} is wrong`, {
    hint: 'do not use them: one of the two was changed, or they are of different launches; make them again, with id-block create',
  });

const refusal = (reason: string): BootsealError =>
  new BootsealError('format', `ID auth: ${reason}`, { hint: 'make it again, with id-block create' });
