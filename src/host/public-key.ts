/** @module The public-key operations from node:crypto (OpenSSL). */
import * as crypto from 'node:crypto';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import {
  COORDINATE_SIZE,
  type Curve,
  type EcPublicKey,
  type PublicKeyOperations,
  type RsaPublicKey,
} from '../core/session/public-key.ts';

const OPENSSL_NAME: Readonly<Record<Curve, string>> = { 'P-256': 'prime256v1', 'P-384': 'secp384r1' };

const PEER = 'ask whoever made the key for it again: it was changed, or is for something else';

/** RSA-PSS, ECDSA and ECDH at the speed of the machine. */
export const nodePublicKey: PublicKeyOperations = {
  verifyRsaPss(key, hash, message, signature) {
    const padding = crypto.constants.RSA_PKCS1_PSS_PADDING;
    // Without a length OpenSSL would take any salt; AMD's is as long as the hash.
    const saltLength = crypto.constants.RSA_PSS_SALTLEN_DIGEST;
    return crypto.verify(hash, message, { key: rsaKey(key), padding, saltLength }, signature);
  },

  verifyEcdsa(key, hash, message, r, s) {
    const size = COORDINATE_SIZE[key.curve];
    if (r.length !== size || s.length !== size) return false;
    const imported = ecKey(key);
    if (imported === undefined) return false;
    return crypto.verify(hash, message, { key: imported, dsaEncoding: 'ieee-p1363' }, Buffer.concat([r, s]));
  },

  publicKeyOf(curve, privateKey) {
    const point = new Uint8Array(keyPair(curve, privateKey).getPublicKey());
    const size = COORDINATE_SIZE[curve];
    return { kind: 'ec', curve, x: point.slice(1, 1 + size), y: point.slice(1 + size) };
  },

  agree(curve, privateKey, peer) {
    if (peer.curve !== curve) {
      throw new BootsealError('format', `the peer's key is on ${peer.curve}, not on ${curve}`, { hint: PEER });
    }
    const pair = keyPair(curve, privateKey);
    try {
      const shared = pair.computeSecret(Buffer.concat([Uint8Array.of(4), peer.x, peer.y]));
      const x = new Uint8Array(shared);
      wipe(shared);
      return x;
    } catch (cause) {
      throw new BootsealError('format', `the peer's key is no point of ${curve}`, { hint: PEER, cause });
    }
  },
};

function rsaKey(key: RsaPublicKey): crypto.KeyObject {
  const exponent = Buffer.alloc(4);
  exponent.writeUInt32BE(key.exponent);
  const e = exponent.subarray(exponent.findIndex((byte) => byte !== 0));
  return crypto.createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: base64url(key.modulus), e: base64url(e) } });
}

/** OpenSSL refuses a point that is not on its curve. */
function ecKey(key: EcPublicKey): crypto.KeyObject | undefined {
  try {
    const { curve, x, y } = key;
    return crypto.createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: curve, x: base64url(x), y: base64url(y) } });
  } catch {
    return undefined;
  }
}

function keyPair(curve: Curve, privateKey: Uint8Array): crypto.ECDH {
  const pair = crypto.createECDH(OPENSSL_NAME[curve]);
  const size = COORDINATE_SIZE[curve];
  try {
    if (privateKey.length !== size) throw new RangeError('size');
    pair.setPrivateKey(privateKey);
    return pair;
  } catch (cause) {
    throw new BootsealError('key', `not a private key of ${curve}: it needs ${size} bytes below the curve's order`, {
      hint: 'take a key that was made for this curve, its number with the highest byte first',
      cause,
    });
  }
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
