import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/bytes.ts';
import {
  CERTIFICATE_SIZE,
  encodeGodh,
  parseCertificate,
  startsCertificate,
} from '../../../src/core/session/certificate.ts';
import { ecdsaNumbers } from '../../../src/core/session/ec-encoding.ts';
import { fixture } from '../../fixtures.ts';
import {
  ECDSA_SHA256,
  ECDSA_SHA384,
  ecKey,
  forgedPlatform,
  RSA_SHA256,
  sevCertificate,
  USAGE,
} from '../../platform.ts';

const NAPLES = fixture('sev-crate/naples/pek.cert');

/** Returns the Naples PEK with these bytes in place of its own. */
function changed(at: number, ...values: number[]): Uint8Array {
  const bytes = NAPLES.slice();
  bytes.set(values, at);
  return bytes;
}

function refusal(source: Uint8Array): unknown {
  try {
    parseCertificate(source, 'pek.cert');
  } catch (error) {
    return error;
  }
  throw new Error('accepted');
}

describe('parseCertificate', () => {
  it('reads the PEK of a real machine', () => {
    const pek = parseCertificate(NAPLES, 'pek.cert');
    expect(pek.usage).toBe('pek');
    expect(pek.algorithm).toBe(ECDSA_SHA256);
    expect(pek.api).toEqual({ major: 0, minor: 16 });
    expect(pek.bytes).toEqual(NAPLES);
    expect(pek.body).toEqual(NAPLES.slice(0, 0x414));
    expect(pek.key).toEqual({
      kind: 'ec',
      curve: 'P-384',
      x: NAPLES.slice(20, 68).reverse(),
      y: NAPLES.slice(92, 140).reverse(),
    });
    expect(pek.signatures).toEqual([
      { usage: USAGE.oca, algorithm: ECDSA_SHA256, value: NAPLES.slice(0x41c, 0x61c) },
      { usage: USAGE.cek, algorithm: ECDSA_SHA256, value: NAPLES.slice(0x624, 0x824) },
    ]);
    expect(CERTIFICATE_SIZE).toBe(2084);
  });

  it.each([
    ['naples', 'cek', 14, [USAGE.ask]],
    ['naples', 'oca', 16, [USAGE.oca]],
    ['naples', 'pdh', 16, [USAGE.pek]],
    ['rome', 'cek', 14, [USAGE.ask]],
    ['rome', 'oca', 22, [USAGE.oca]],
    ['rome', 'pek', 22, [USAGE.oca, USAGE.cek]],
    ['rome', 'pdh', 22, [USAGE.pek]],
  ])('reads %s %s', (machine, usage, minor, signers) => {
    const certificate = parseCertificate(fixture(`sev-crate/${machine}/${usage}.cert`), usage);
    expect(certificate.usage).toBe(usage);
    expect(certificate.api).toEqual({ major: 0, minor });
    expect(certificate.signatures.map((signature) => signature.usage)).toEqual(signers);
  });

  it('reads a P-256 key and an RSA key of a platform owner', () => {
    const p256 = parseCertificate(sevCertificate(USAGE.oca, ECDSA_SHA384, ecKey('P-256'), []), 'oca');
    expect(p256.key).toMatchObject({ kind: 'ec', curve: 'P-256', x: { length: 32 }, y: { length: 32 } });
    const rsa = parseCertificate(sevCertificate(USAGE.oca, RSA_SHA256, forgedPlatform().keys.ark, []), 'oca');
    expect(rsa.key).toMatchObject({ kind: 'rsa', bits: 2048, exponent: 65537 });
    expect(rsa.signatures).toEqual([]);
  });

  it.each([
    ['a byte less', NAPLES.slice(1), 'an SEV certificate has 2084 bytes, this has 2083'],
    ['a byte more', concat(NAPLES, Uint8Array.of(0)), 'an SEV certificate has 2084 bytes, this has 2085'],
    ['another version', changed(0, 2), 'certificate version 2 is unknown'],
    ['an empty usage', changed(8, 0), 'key usage 0x1000 is none of an SEV certificate'],
    ["AMD's usage", changed(8, 0x13, 0), 'key usage 0x13 is none of an SEV certificate'],
    ["the root's usage", changed(8, 0, 0), 'key usage 0x0 is none of an SEV certificate'],
    ['no algorithm', changed(12, 0), 'key algorithm 0x0 does not suit the usage PEK'],
    ['an unknown algorithm', changed(12, 4), 'key algorithm 0x4 does not suit the usage PEK'],
    ['an algorithm that agrees instead of signing', changed(12, 3), 'key algorithm 0x3 does not suit the usage PEK'],
    ['an RSA key where the platform has none', changed(12, 1), 'key algorithm 0x1 does not suit the usage PEK'],
    ['a PDH that signs', changed(8, 3), 'key algorithm 0x2 does not suit the usage PDH'],
    ['curve 0', changed(16, 0), 'curve 0 is unknown'],
    ['curve 3', changed(16, 3), 'curve 3 is unknown'],
    ['an x of 49 bytes', changed(68, 1), 'a coordinate is longer than those of P-384'],
    ['a y of 72 bytes', changed(163, 1), 'a coordinate is longer than those of P-384'],
    ['coordinates of P-384 on P-256', changed(16, 1), 'a coordinate is longer than those of P-256'],
    ['something after the key', changed(164, 1), 'the bytes after the key are not zero'],
    ['something at the end of the key', changed(0x413, 1), 'the bytes after the key are not zero'],
    ['a signature by nobody', changed(0x414, 0, 0x10), 'a signature is half marked as empty'],
    ['a signature without algorithm', changed(0x61c + 4, 0), 'a signature is half marked as empty'],
  ])('refuses %s', (_, source, reason) => {
    expect(refusal(source)).toMatchObject({ kind: 'format', message: `pek.cert: ${reason}` });
  });

  const RSA_OCA = sevCertificate(USAGE.oca, RSA_SHA256, forgedPlatform().keys.ark, []);
  it.each([
    ['1024 bits', 16, [0, 4, 0, 0], 'no RSA key has 1024 bits here'],
    ['3072 bits', 16, [0, 12, 0, 0], 'no RSA key has 3072 bits here'],
    ['2048 bits in 4096', 16, [0, 16, 0, 0], 'the modulus is not an odd number of 4096 bits'],
    ['an even modulus', 532, [2], 'the modulus is not an odd number of 2048 bits'],
    ['a short modulus', 532 + 255, [0x7f], 'the modulus is not an odd number of 2048 bits'],
    ['a long modulus', 532 + 256, [1], 'the modulus is not an odd number of 2048 bits'],
    ['exponent 1', 20, [1, 0, 0], 'the exponent is not an odd number from 3 to 2^32 - 1'],
    ['exponent 2', 20, [2, 0, 0], 'the exponent is not an odd number from 3 to 2^32 - 1'],
    ['exponent 4', 20, [4, 0, 0], 'the exponent is not an odd number from 3 to 2^32 - 1'],
    ['a huge exponent', 24, [1], 'the exponent is not an odd number from 3 to 2^32 - 1'],
  ])('refuses RSA with %s', (_, at, values, reason) => {
    const bytes = RSA_OCA.slice();
    bytes.set(values, at);
    expect(refusal(bytes)).toMatchObject({ kind: 'format', message: `pek.cert: ${reason}` });
  });

  it('takes the exponents 3 and 2^32 - 1', () => {
    const bytes = RSA_OCA.slice();
    bytes.set([3, 0, 0], 20);
    expect(parseCertificate(bytes, 'oca').key).toMatchObject({ exponent: 3 });
    bytes.set([255, 255, 255, 255], 20);
    expect(parseCertificate(bytes, 'oca').key).toMatchObject({ exponent: 0xffffffff });
  });

  it.each([
    ['an array', NAPLES.slice()],
    ['a Buffer, whose slice() aliases', Buffer.from(NAPLES)],
  ])('neither changes nor aliases %s', (_, bytes) => {
    const expected = parseCertificate(NAPLES, 'pek');
    const pek = parseCertificate(bytes, 'pek');
    ecdsaNumbers(pek.signatures[0]?.value ?? bytes, 48);
    expect(new Uint8Array(bytes)).toEqual(NAPLES);
    bytes.fill(0);
    expect(pek).toEqual(expected);
  });
});

describe('encodeGodh', () => {
  it('is read back as an unsigned PDH', () => {
    const key = { kind: 'ec', curve: 'P-384', x: new Uint8Array(48).fill(1), y: new Uint8Array(48).fill(2) } as const;
    const godh = parseCertificate(encodeGodh(key), 'godh');
    expect(godh).toMatchObject({ usage: 'pdh', algorithm: 3, key, signatures: [], api: { major: 0, minor: 0 } });
  });

  it('refuses the weaker curve', () => {
    const key = { kind: 'ec', curve: 'P-256', x: new Uint8Array(32), y: new Uint8Array(32) } as const;
    expect(() => encodeGodh(key)).toThrow(
      expect.objectContaining({ kind: 'usage', message: 'godh: needs a key on P-384, not on P-256' }),
    );
  });
});

describe('startsCertificate', () => {
  it('looks at the usage only', () => {
    expect(startsCertificate(NAPLES, 0)).toBe(true);
    expect(startsCertificate(concat(new Uint8Array(7), NAPLES), 7)).toBe(true);
    expect(startsCertificate(NAPLES.slice(0, 12), 0)).toBe(true);
    expect(startsCertificate(NAPLES.slice(0, 11), 0)).toBe(false);
    expect(startsCertificate(changed(8, 0, 0), 0)).toBe(false);
    expect(startsCertificate(changed(8, 0x13, 0), 0)).toBe(false);
    expect(startsCertificate(changed(8, 5), 0)).toBe(false);
  });
});
