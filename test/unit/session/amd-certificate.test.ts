import * as crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/bytes.ts';
import {
  amdCertificateSize,
  parseAmdCertificate,
  startsAmdCertificate,
} from '../../../src/core/session/amd-certificate.ts';
import { amdAuthorities } from '../../../src/core/session/amd-certificates.ts';
import { rootWithFingerprint } from '../../../src/core/session/amd-roots.ts';
import { fixture, vectors } from '../../fixtures.ts';

const GENERATIONS = ['naples', 'rome', 'milan', 'genoa', 'turin'] as const;
const builtin = (generation: string, name: string) => fixture(`sev-crate/builtin_sev/${generation}/${name}.cert`);
const NAPLES = builtin('naples', 'ark');

function changed(at: number, ...values: number[]): Uint8Array {
  const bytes = NAPLES.slice();
  bytes.set(values, at);
  return bytes;
}

describe('parseAmdCertificate', () => {
  it.each(GENERATIONS)('reads ARK and ASK of %s', (generation) => {
    const size = generation === 'naples' ? 256 : 512;
    for (const usage of ['ark', 'ask'] as const) {
      const bytes = builtin(generation, usage);
      const certificate = parseAmdCertificate(bytes, usage);
      expect(certificate.usage).toBe(usage);
      expect(certificate.key).toEqual({
        kind: 'rsa',
        bits: 8 * size,
        exponent: 65537,
        modulus: bytes.slice(64 + size, 64 + 2 * size).reverse(),
      });
      expect(certificate.signature).toEqual(bytes.slice(64 + 2 * size).reverse());
      expect(certificate.body).toEqual(bytes.slice(0, 64 + 2 * size));
      expect(certificate.bytes).toEqual(bytes);
    }
  });

  it('names keys in hexadecimal', () => {
    const ask = parseAmdCertificate(builtin('genoa', 'ask'), 'ask');
    expect(ask.keyId).toBe('acbb4ad21acc436fb3e932f812cd01b0');
    expect(ask.certifyingId).toBe('9f9d4a8fe761456599f6946c4c010f3a');
  });

  interface ChainVector {
    readonly id: string;
    readonly inputs: { readonly ark: string };
    readonly expected: { readonly decode?: string };
  }
  const cut = vectors<{ groups: { sev_cert_chain: ChainVector[] } }>('measurement.json').groups.sev_cert_chain.filter(
    ({ expected }) => expected.decode?.startsWith('must fail'),
  );
  it.each(cut)('refuses $id', ({ id, inputs }) => {
    expect(id).toBe('naples-ark-bad');
    const message = 'ark.cert: the certificate has 832 bytes, this has 576';
    expect(() => parseAmdCertificate(fixture(inputs.ark), 'ark.cert')).toThrow(
      expect.objectContaining({ kind: 'format', message }),
    );
  });

  it.each([
    ['nothing', new Uint8Array(), 'an AMD certificate is cut short'],
    ['63 bytes', NAPLES.slice(0, 63), 'an AMD certificate is cut short'],
    ['a byte less', NAPLES.slice(0, 831), 'the certificate has 832 bytes, this has 831'],
    ['a byte more', concat(NAPLES, Uint8Array.of(0)), 'the certificate has 832 bytes, this has 833'],
    ['another version', changed(0, 0), 'certificate version 0 is unknown'],
    ['a usage of the platform', changed(36, 4, 16), 'key usage 0x1004 is neither ARK nor ASK'],
    ['1024 bits', changed(60, 0, 4), 'no AMD certificate has an RSA key of 1024 bits'],
    ['2^32 - 1 bits', changed(60, 255, 255, 255, 255), 'no AMD certificate has an RSA key of 4294967295 bits'],
    ['an exponent of another size', changed(56, 0, 16), 'an exponent of 4096 bits does not fit a key of 2048'],
    ['more bits than bytes', changed(56, 0, 16, 0, 0, 0, 16), 'the certificate has 1600 bytes, this has 832'],
    ['an even modulus', changed(320, 2), 'the modulus is not an odd number of 2048 bits'],
    ['exponent 0', changed(64, 0, 0, 0), 'the exponent is not an odd number from 3 to 2^32 - 1'],
    ['a long exponent', changed(319, 1), 'the exponent is not an odd number from 3 to 2^32 - 1'],
  ])('refuses %s', (_, source, reason) => {
    expect(() => parseAmdCertificate(source, 'ark.cert')).toThrow(
      expect.objectContaining({ kind: 'format', message: `ark.cert: ${reason}` }),
    );
  });
});

describe('parseAmdCertificate of a Buffer, whose slice() aliases', () => {
  it('neither changes nor aliases it', () => {
    const bytes = Buffer.from(NAPLES);
    const ark = parseAmdCertificate(bytes, 'ark');
    expect(new Uint8Array(bytes)).toEqual(NAPLES);
    bytes.fill(0);
    expect(ark).toEqual(parseAmdCertificate(NAPLES, 'ark'));
  });
});

describe('amdCertificateSize', () => {
  it('needs the header only, anywhere', () => {
    expect(amdCertificateSize(NAPLES.subarray(0, 64), 0, 'ark')).toBe(832);
    expect(() => amdCertificateSize(NAPLES, 832 - 63, 'ark')).toThrow(
      expect.objectContaining({ kind: 'format', message: 'ark: an AMD certificate is cut short' }),
    );
    expect(amdCertificateSize(concat(new Uint8Array(3), builtin('rome', 'ark')), 3, 'ark')).toBe(1600);
  });
});

describe('startsAmdCertificate', () => {
  it('looks at version and usage', () => {
    expect(startsAmdCertificate(NAPLES, 0)).toBe(true);
    expect(startsAmdCertificate(concat(Uint8Array.of(9), builtin('turin', 'ask')), 1)).toBe(true);
    expect(startsAmdCertificate(NAPLES.slice(0, 64), 0)).toBe(true);
    expect(startsAmdCertificate(NAPLES.slice(0, 63), 0)).toBe(false);
    expect(startsAmdCertificate(changed(0, 2), 0)).toBe(false);
    expect(startsAmdCertificate(changed(36, 1), 0)).toBe(false);
  });
});

describe("AMD's own certificates", () => {
  it('are those of the sev crate, byte for byte', () => {
    const shipped = amdAuthorities();
    expect(shipped.map(({ ark }) => ark.bytes)).toEqual(GENERATIONS.map((name) => builtin(name, 'ark')));
    expect(shipped.map(({ ask }) => ask.bytes)).toEqual(GENERATIONS.map((name) => builtin(name, 'ask')));
  });

  it.each(GENERATIONS)('%s is pinned by its fingerprint', (generation) => {
    const fingerprint = crypto.createHash('sha256').update(builtin(generation, 'ark')).digest('hex');
    expect(rootWithFingerprint(fingerprint)).toBe(generation);
    expect(rootWithFingerprint(fingerprint.replace(/^./, 'g'))).toBeUndefined();
  });

  it('an ASK is no root', () => {
    for (const generation of GENERATIONS) {
      const fingerprint = crypto.createHash('sha256').update(builtin(generation, 'ask')).digest('hex');
      expect(rootWithFingerprint(fingerprint)).toBeUndefined();
    }
  });
});
