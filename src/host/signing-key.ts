/** @module A private key on P-384 in PEM, as a signer. */
import * as crypto from 'node:crypto';
import type { EcdsaSigner } from '../core/attestation/id-auth.ts';
import { BootsealError } from '../core/errors.ts';

/** COORDINATE_SIZE of P-384, bytes. */
const SIZE = 48;

/**
 * Returns the signer of a PEM text (SEC 1 or PKCS #8), called `name` in messages, which hold nothing of it. Throws `format` for what is no private
 * key, and for one whose public point is of another, `key` for one with a passphrase, `usage` for one that is not on P-384.
 */
export function signerOf(pem: Uint8Array, name: string): EcdsaSigner {
  const key = privateKey(pem, name);
  if (key.asymmetricKeyDetails?.namedCurve !== 'secp384r1') {
    throw new BootsealError('usage', `${name}: the key is not on P-384`, { hint: MAKE });
  }
  const publicKey = crypto.createPublicKey(key);
  const sign = (message: Uint8Array) => crypto.sign('sha384', message, { key, dsaEncoding: 'ieee-p1363' });
  if (!crypto.verify('sha384', PROBE, { key: publicKey, dsaEncoding: 'ieee-p1363' }, sign(PROBE))) throw halves(name);
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return {
    publicKey: { kind: 'ec', curve: 'P-384', x: coordinate(x), y: coordinate(y) },
    sign(message) {
      const signature = sign(message);
      return { r: new Uint8Array(signature.subarray(0, SIZE)), s: new Uint8Array(signature.subarray(SIZE)) };
    },
  };
}

/** OpenSSL reads number and point of a key file and holds neither against the other; what one signs the other must verify. */
const PROBE = new TextEncoder().encode('bootseal: are number and point of one key?');

const halves = (name: string): BootsealError =>
  new BootsealError('format', `${name}: the public point in it is not the one of its private number`, {
    hint: `the file was changed, or made of two keys (\`openssl pkey -in FILE -check -noout\` says so too): take it from a copy, or ${MAKE}`,
  });

const MAKE = 'make one with `openssl ecparam -name secp384r1 -genkey -noout -out key.pem`';

function privateKey(pem: Uint8Array, name: string): crypto.KeyObject {
  const text = Buffer.from(pem.buffer, pem.byteOffset, pem.length);
  if (text.includes('ENCRYPTED')) {
    throw new BootsealError('key', `${name}: the key has a passphrase`, {
      hint: 'give it on standard input without one: `openssl pkey -in key.pem | bootseal id-block create --id-key - …`',
    });
  }
  try {
    return crypto.createPrivateKey({ key: text, format: 'pem' });
  } catch {
    if (isDer(text)) {
      throw new BootsealError('format', `${name}: the key is in DER, not in PEM`, {
        hint: 'convert it with `openssl pkey -inform DER -in key.der -out key.pem`',
      });
    }
    // Without the cause: OpenSSL's words are about the key.
    throw new BootsealError('format', `${name}: no private key in PEM`, { hint: MAKE });
  }
}

/** Says whether it is a private key in DER, also one with a passphrase. */
function isDer(key: Buffer): boolean {
  return (['pkcs8', 'sec1'] as const).some((type) => {
    try {
      return crypto.createPrivateKey({ key, format: 'der', type }).type === 'private';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE';
    }
  });
}

const coordinate = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64url'));
