/**
 * @module New private keys, taken from Node as bytes. A KeyObject that comes straight out of generateKeyPairSync can stop the process
 * for good in Node 20: when garbage is collected in the middle of its export as JWK, the finished job that made it waits for the lock
 * that the export holds (node::crypto::KeyGenJob's destructor).
 */
import * as crypto from 'node:crypto';

const publicKeyEncoding = { type: 'spki', format: 'der' } as const;
const privateKeyEncoding = { type: 'pkcs8', format: 'der' } as const;

/** Returns a new private key on P-384 (or another curve, by OpenSSL's name). */
export function ecKey(namedCurve = 'P-384'): crypto.KeyObject {
  return privateKey(crypto.generateKeyPairSync('ec', { namedCurve, publicKeyEncoding, privateKeyEncoding }).privateKey);
}

/** Returns a new RSA key of 2048 bits. */
export function rsaKey(): crypto.KeyObject {
  return privateKey(
    crypto.generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding, privateKeyEncoding }).privateKey,
  );
}

function privateKey(key: Buffer): crypto.KeyObject {
  try {
    return crypto.createPrivateKey({ key, type: 'pkcs8', format: 'der' });
  } finally {
    key.fill(0);
  }
}
