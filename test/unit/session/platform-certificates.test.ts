import { describe, expect, it } from 'vitest';
import { bytesToBase64 } from '../../../src/core/base64.ts';
import { concat } from '../../../src/core/bytes.ts';
import { amdAuthorities } from '../../../src/core/session/amd-certificates.ts';
import { verifyChain } from '../../../src/core/session/chain.ts';
import { completeChain, readCertificates } from '../../../src/core/session/platform-certificates.ts';
import { nodePublicKey } from '../../../src/host/public-key.ts';
import { type ChainBytes, forgedPlatform, realChain, resign } from '../../platform.ts';

const ROME = realChain('rome');
const KNOWN = amdAuthorities();
const ascii = (text: string) => new TextEncoder().encode(text);
const file = (name: string, ...parts: Uint8Array[]) => ({ name, bytes: concat(...parts) });

/** Returns the bytes of each certificate that was found. */
function found(...files: { name: string; bytes: Uint8Array }[]): Partial<ChainBytes> {
  const entries = Object.entries(readCertificates(files));
  return Object.fromEntries(entries.map(([usage, certificate]) => [usage, certificate.bytes]));
}

describe('readCertificates', () => {
  const { pdh, pek, oca, cek, ask, ark } = ROME;

  it('reads one certificate a file', () => {
    const files = Object.entries(ROME).map(([name, bytes]) => ({ name: `${name}.cert`, bytes }));
    expect(found(...files)).toEqual(ROME);
  });

  it.each([
    ['sevctl export --full', [file('chain', pdh, pek, oca, cek, ask, ark)]],
    ['sevctl export and ask_ark', [file('chain', pdh, pek, oca, cek), file('ask_ark.cert', ask, ark)]],
    [
      'sev-tool --pdh_cert_export',
      [file('pdh.cert', pdh), file('cert_chain.cert', pek, oca, cek), file('a', ask, ark)],
    ],
    ['any other order', [file('x', ark, cek, oca), file('y', ask, pdh, pek)]],
  ])('reads %s', (_, files) => {
    expect(found(...files)).toEqual(ROME);
  });

  it('reads the base64 of QEMU and libvirt, with and without line breaks', () => {
    const text = bytesToBase64(concat(pek, oca, cek));
    const lines = text.replaceAll(/(.{76})/g, '$1\r\n\t ');
    expect(found(file('pdh', ascii(bytesToBase64(pdh))), file('cert-chain', ascii(`${lines}\n`)))).toEqual({
      pdh,
      pek,
      oca,
      cek,
    });
  });

  it('refuses text that only begins as base64', () => {
    expect(() => found(file('pdh.b64', ascii('AQAAA(not really)')))).toThrow(
      expect.objectContaining({ kind: 'format', message: 'pdh.b64: begins as base64 but is not' }),
    );
  });

  it('takes the CEK that AMD signed, in whichever order it comes', () => {
    const unsigned = resign(cek, []);
    expect(found(file('cert_chain.cert', pek, oca, unsigned), file('cek.cert', cek))).toEqual({ pek, oca, cek });
    expect(found(file('cek.cert', cek), file('cert_chain.cert', pek, oca, unsigned))).toEqual({ pek, oca, cek });
    const newer = unsigned.with(5, 99);
    expect(found(file('a', newer), file('b', cek))).toEqual({ cek });
    expect(found(file('a', cek), file('b', cek))).toEqual({ cek });
    expect(found(file('a', unsigned), file('b', unsigned))).toEqual({ cek: unsigned });
  });

  it.each([
    ['pdh', 'two machines', ROME.pdh, realChain('naples').pdh],
    ['cek', 'two machines', ROME.cek, resign(realChain('naples').cek, [])],
    ['cek', 'only x is the same', ROME.cek, resign(ROME.cek, []).with(92, 0)],
    ['cek', 'only y is the same', ROME.cek, resign(ROME.cek, []).with(20, 0)],
    ['cek', 'neither signed', resign(ROME.cek, []), resign(ROME.cek, []).with(5, 99)],
    ['pek', 'one unsigned', ROME.pek, resign(ROME.pek, [])],
    ['cek', 'the same key twice, differently signed', ROME.cek, ROME.cek.with(0x41c, 0)],
    ['ark', 'two roots', ROME.ark, forgedPlatform().chain.ark],
  ])('refuses two different %s: %s', (usage, _, a, b) => {
    expect(() => found(file('one.cert', a), file('two.cert', b))).toThrow(
      expect.objectContaining({
        kind: 'usage',
        message: `one.cert and two.cert hold two different ${usage} certificates`,
        hint: expect.stringContaining('one platform'),
      }),
    );
  });

  it.each([
    ['nothing', new Uint8Array(), 'there is no SEV certificate at byte 0'],
    ['an X.509 certificate', ascii('-----BEGIN CERTIFICATE-----\n'), 'there is no SEV certificate at byte 0'],
    ['what is no base64 of a certificate', ascii('AQAABAAA'), 'there is no SEV certificate at byte 0'],
    ['zeros', new Uint8Array(2084), 'there is no SEV certificate at byte 0'],
    ['something after a certificate', concat(pdh, Uint8Array.of(0)), 'there is no SEV certificate at byte 2084'],
    ['half a certificate', pdh.slice(0, 1000), 'an SEV certificate has 2084 bytes, this has 1000'],
  ])('refuses %s', (_, bytes, reason) => {
    expect(() => found(file('f.cert', bytes))).toThrow(
      expect.objectContaining({ kind: 'format', message: `f.cert: ${reason}` }),
    );
  });

  it('hints that the certificates of SEV-SNP are others', () => {
    expect(() => found(file('vcek.cert', ascii('-----BEGIN')))).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('X.509') }),
    );
  });

  it('names the byte of a later certificate that is cut short', () => {
    expect(() => found(file('f.cert', ask, ark.slice(0, 1599)))).toThrow(
      expect.objectContaining({ message: 'f.cert at byte 1600: the certificate has 1600 bytes, this has 1599' }),
    );
    expect(() => found(file('f.cert', ask, pdh.slice(0, 2083)))).toThrow(
      expect.objectContaining({ message: 'f.cert at byte 1600: an SEV certificate has 2084 bytes, this has 2083' }),
    );
  });
});

describe('completeChain', () => {
  const complete = (chain: Partial<ChainBytes>) =>
    completeChain(
      readCertificates(Object.entries(chain).map(([name, bytes]) => ({ name, bytes }))),
      KNOWN,
      nodePublicKey,
    );
  const { pdh, pek, oca, cek, ask, ark } = ROME;

  it.each([
    ['neither ASK nor ARK', { pdh, pek, oca, cek }],
    ['no ASK', { pdh, pek, oca, cek, ark }],
    ['no ARK', { pdh, pek, oca, cek, ask }],
    ['everything', ROME],
  ])("fills in AMD's own when there is %s", (_, chain) => {
    const certificates = complete(chain);
    expect(certificates.ask.bytes).toEqual(ask);
    expect(certificates.ark.bytes).toEqual(ark);
    expect(verifyChain(certificates, nodePublicKey).root).toBe('rome');
  });

  it('keeps a made-up ASK and ARK for the verification to refuse', () => {
    const { chain } = forgedPlatform();
    expect(complete(chain).ark.bytes).toEqual(chain.ark);
    expect(complete(chain).ask.bytes).toEqual(chain.ask);
  });

  it("does not take a made-up ASK alone for AMD's", () => {
    const { chain } = forgedPlatform();
    const { ark: _, ...rest } = chain;
    expect(() => complete(rest)).toThrow(
      expect.objectContaining({ kind: 'mismatch', message: expect.stringContaining('not signed by any of AMD') }),
    );
  });

  it.each([
    ['pdh', { pek, oca, cek }],
    ['pek', { pdh, oca, cek }],
    ['oca', { pdh, pek, cek }],
    ['cek', { pdh, pek, oca }],
    ['pek, oca, cek', { pdh, ask, ark }],
  ])('names what is missing: %s', (missing, chain) => {
    expect(() => complete(chain)).toThrow(
      expect.objectContaining({
        kind: 'usage',
        message: `missing certificates: ${missing}`,
        hint: expect.stringContaining('sevctl export'),
      }),
    );
  });
});
