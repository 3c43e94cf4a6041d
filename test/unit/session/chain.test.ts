import { describe, expect, it } from 'vitest';
import { parseAmdCertificate } from '../../../src/core/session/amd-certificate.ts';
import { amdAuthorities } from '../../../src/core/session/amd-certificates.ts';
import { parseCertificate } from '../../../src/core/session/certificate.ts';
import {
  authoritiesOf,
  checkRoot,
  type PlatformCertificates,
  trustUnverified,
  verifyChain,
  verifyLabChain,
} from '../../../src/core/session/chain.ts';
import { nodePublicKey } from '../../../src/host/public-key.ts';
import { makePlatform } from '../../../src/lab/psp/certificates.ts';
import { vectors } from '../../fixtures.ts';
import {
  amdCertificate,
  type ChainBytes,
  ECDH_SHA256,
  ECDSA_SHA256,
  ECDSA_SHA384,
  ecKey,
  forgedPlatform,
  RSA_SHA256,
  RSA_SHA384,
  realChain,
  resign,
  sevCertificate,
  USAGE,
} from '../../platform.ts';

const NAPLES = realChain('naples');
const ROME = realChain('rome');
const FORGED = forgedPlatform();

function parse(chain: ChainBytes): PlatformCertificates {
  return {
    ark: parseAmdCertificate(chain.ark, 'ark'),
    ask: parseAmdCertificate(chain.ask, 'ask'),
    cek: parseCertificate(chain.cek, 'cek'),
    oca: parseCertificate(chain.oca, 'oca'),
    pek: parseCertificate(chain.pek, 'pek'),
    pdh: parseCertificate(chain.pdh, 'pdh'),
  };
}

/** Returns how the chain was refused. */
function refusal(chain: ChainBytes): unknown {
  try {
    verifyChain(parse(chain), nodePublicKey);
  } catch (error) {
    return error;
  }
  throw new Error('accepted');
}

/** Returns a copy with one byte changed. */
function flip(bytes: Uint8Array, at: number): Uint8Array {
  const out = bytes.slice();
  out[at] = (out[at] ?? 0) ^ 1;
  return out;
}

const mismatch = (message: string) => ({ kind: 'mismatch', message });

describe('verifyChain', () => {
  interface ChainVector {
    readonly id: 'naples' | 'rome';
    readonly expected: { readonly all_valid?: boolean };
  }
  const groups = vectors<{ groups: { sev_cert_chain: ChainVector[] } }>('measurement.json').groups;
  const valid = groups.sev_cert_chain.filter(({ expected }) => expected.all_valid);

  it('takes both vectors of real machines', () => {
    expect(valid.map(({ id }) => id)).toEqual(['naples', 'rome']);
  });

  it.each(valid)('accepts the $id machine and names its root', ({ id }) => {
    const certificates = parse(realChain(id));
    expect(verifyChain(certificates, nodePublicKey)).toEqual({
      pdh: certificates.pdh,
      pek: certificates.pek,
      verified: true,
      root: id,
    });
  });

  it('refuses a chain that is right in every signature but ends in a root the host made up', () => {
    expect(refusal(FORGED.chain)).toMatchObject({
      ...mismatch("ark: this is none of AMD's root keys, so the whole chain proves nothing"),
      hint: expect.stringContaining('leave ark.cert and ask.cert out'),
    });
  });

  it('refuses a made-up chain below the real root', () => {
    expect(refusal({ ...FORGED.chain, ark: NAPLES.ark })).toMatchObject(
      mismatch('ask: it names another key as the one that signed it'),
    );
    const keyId = NAPLES.ark.slice(4, 20);
    const ask = amdCertificate(USAGE.ask, { key: keyId, certifying: keyId }, FORGED.keys.ask, FORGED.keys.ark);
    expect(refusal({ ...FORGED.chain, ark: NAPLES.ark, ask })).toMatchObject({
      ...mismatch('ask: the signature of the ARK is wrong'),
      hint: expect.stringContaining('do not trust this platform'),
    });
  });

  it('refuses a made-up platform below the real ARK and ASK', () => {
    expect(refusal({ ...FORGED.chain, ark: NAPLES.ark, ask: NAPLES.ask })).toMatchObject(
      mismatch('cek: the signature of the ASK is wrong'),
    );
  });

  it.each([
    ['the ASK of another generation', { ask: ROME.ask }, 'ask: it names another key as the one that signed it'],
    ['the CEK of another machine', { cek: ROME.cek }, "cek: the signature's algorithm is not that of the ASK's key"],
    ['the PEK of another machine', { pek: ROME.pek }, 'pek: the signature of the CEK is wrong'],
    ['the OCA of another machine', { oca: ROME.oca }, 'pek: the signature of the OCA is wrong'],
    ['the PDH of another machine', { pdh: ROME.pdh }, 'pdh: the signature of the PEK is wrong'],
    ["a PDH of the host's own", { pdh: FORGED.chain.pdh }, 'pdh: the signature of the PEK is wrong'],
    [
      "a PEK and a PDH of the host's own",
      { pek: FORGED.chain.pek, pdh: FORGED.chain.pdh },
      'pek: the signature of the CEK is wrong',
    ],
  ])('refuses %s', (_, part, message) => {
    expect(refusal({ ...NAPLES, ...part })).toMatchObject(mismatch(message));
  });

  it.each([
    ['ark', "ark: this is none of AMD's root keys, so the whole chain proves nothing"],
    ['ask', 'ask: the signature of the ARK is wrong'],
    ['cek', 'cek: the signature of the ASK is wrong'],
    ['oca', 'oca: the signature of the OCA is wrong'],
    ['pek', 'pek: the signature of the CEK is wrong'],
    ['pdh', 'pdh: the signature of the PEK is wrong'],
  ] as const)('notices a changed %s: key and signature', (usage, message) => {
    const [inKey, inSignature] = usage === 'ark' || usage === 'ask' ? [600, 1100] : [50, 0x41c];
    expect(refusal({ ...ROME, [usage]: flip(ROME[usage], inKey) })).toMatchObject(mismatch(message));
    const signature = flip(ROME[usage], inSignature);
    // The PEK's first signature is the OCA's.
    const place = usage === 'pek' ? 'pek: the signature of the OCA is wrong' : message;
    expect(refusal({ ...ROME, [usage]: signature })).toMatchObject(mismatch(place));
  });

  it.each([
    ['pek', 'pdh', 'pek: its key is for use as PDH'],
    ['pdh', 'pek', 'pdh: its key is for use as PEK'],
    ['cek', 'oca', 'cek: its key is for use as OCA'],
    ['oca', 'cek', 'oca: its key is for use as CEK'],
    ['ask', 'ark', 'ask: its key is for use as ARK'],
    ['ark', 'ask', 'ark: its key is for use as ASK'],
  ] as const)('refuses in the place of the %s a %s', (place, other, message) => {
    expect(refusal({ ...NAPLES, [place]: NAPLES[other] })).toMatchObject(mismatch(message));
  });

  it('refuses the CEK as the platform exports it, and says how to get the signed one', () => {
    expect(refusal({ ...NAPLES, cek: resign(NAPLES.cek, []) })).toMatchObject({
      ...mismatch('cek: it carries no signature of AMD, as the platform itself exports it'),
      hint: expect.stringContaining('https://kdsintf.amd.com/cek/id/ID'),
    });
  });

  it.each([
    ['oca', 'oca: it is not signed by the OCA'],
    ['pek', 'pek: it is not signed by the CEK'],
    ['pdh', 'pdh: it is not signed by the PEK'],
  ] as const)('refuses an unsigned %s', (usage, message) => {
    expect(refusal({ ...NAPLES, [usage]: resign(NAPLES[usage], []) })).toMatchObject(mismatch(message));
  });

  it.each([
    ['cek', 'ASK', RSA_SHA384],
    ['pdh', 'PEK', ECDSA_SHA384],
    ['oca', 'OCA', ECDSA_SHA384],
    ['pdh', 'PEK', ECDH_SHA256],
  ] as const)('refuses a signature of the %s whose algorithm is not that of the %s: %i', (usage, signer, algorithm) => {
    const bytes = NAPLES[usage].slice();
    new DataView(bytes.buffer).setUint32(0x418, algorithm, true);
    expect(refusal({ ...NAPLES, [usage]: bytes })).toMatchObject(
      mismatch(`${usage}: the signature's algorithm is not that of the ${signer}'s key`),
    );
  });

  it('refuses numbers that only look shorter: a set bit beyond the signature', () => {
    expect(refusal({ ...NAPLES, cek: flip(NAPLES.cek, 0x41c + 256) })).toMatchObject(
      mismatch('cek: the signature of the ASK is wrong'),
    );
    expect(refusal({ ...NAPLES, pdh: flip(NAPLES.pdh, 0x41c + 144) })).toMatchObject(
      mismatch('pdh: the signature of the PEK is wrong'),
    );
  });

  it('takes signatures in either place, and an owner (OCA) with RSA or SHA-384', () => {
    const cek = NAPLES.pek.slice(0x61c);
    const byOca = (algorithm: number, key = FORGED.keys.oca) => {
      const signer = { usage: USAGE.oca, algorithm, key };
      const oca = sevCertificate(USAGE.oca, algorithm, key, [signer]);
      const pek = resign(NAPLES.pek, [signer, signer]);
      pek.set(cek, 0x414);
      return { ...NAPLES, oca, pek };
    };
    const owners = [byOca(ECDSA_SHA256), byOca(ECDSA_SHA384), byOca(RSA_SHA256, FORGED.keys.ark)];
    owners.push(byOca(ECDSA_SHA384, ecKey('P-256')));
    for (const chain of owners) expect(verifyChain(parse(chain), nodePublicKey).root).toBe('naples');
  });

  it('refuses an OCA that someone else signed, and one that signs with weaker salt or hash than it says', () => {
    const other = { usage: USAGE.oca, algorithm: ECDSA_SHA256, key: ecKey() };
    const oca = sevCertificate(USAGE.oca, ECDSA_SHA256, FORGED.keys.oca, [other]);
    expect(refusal({ ...NAPLES, oca })).toMatchObject(mismatch('oca: the signature of the OCA is wrong'));
    const sha256 = resign(oca, [{ ...other, key: FORGED.keys.oca }]);
    new DataView(sha256.buffer).setUint32(0x418, ECDSA_SHA384, true);
    new DataView(sha256.buffer).setUint32(12, ECDSA_SHA384, true);
    expect(refusal({ ...NAPLES, oca: sha256 })).toMatchObject(mismatch('oca: the signature of the OCA is wrong'));
  });

  it('wants the CEK on the PEK even when the OCA signed twice', () => {
    const signer = { usage: USAGE.oca, algorithm: ECDSA_SHA256, key: FORGED.keys.oca };
    const pek = resign(NAPLES.pek, [signer, signer]);
    expect(refusal({ ...NAPLES, oca: FORGED.chain.oca, pek })).toMatchObject(
      mismatch('pek: it is not signed by the CEK'),
    );
  });

  it('never uses a key below one that failed', () => {
    const used: number[] = [];
    const watching = {
      ...nodePublicKey,
      verifyRsaPss: (...args: Parameters<typeof nodePublicKey.verifyRsaPss>) => {
        used.push(args[0].bits);
        return nodePublicKey.verifyRsaPss(...args);
      },
    };
    expect(() => verifyChain(parse(FORGED.chain), watching)).toThrow();
    expect(used).toEqual([]);
    expect(() => verifyChain(parse({ ...ROME, ask: flip(ROME.ask, 700) }), watching)).toThrow();
    expect(used).toEqual([4096, 4096]);
  });
});

describe('trustUnverified', () => {
  it('says so', () => {
    const pdh = parseCertificate(FORGED.chain.pdh, 'pdh');
    expect(trustUnverified(pdh)).toEqual({ pdh, pek: null, verified: false, root: null });
  });
});

describe('authoritiesOf', () => {
  const known = amdAuthorities();

  it.each(['naples', 'rome'] as const)("finds the %s machine's among AMD's", (machine) => {
    const { cek } = parse(realChain(machine));
    const { ask, ark } = authoritiesOf(cek, known, nodePublicKey);
    expect(ask.bytes).toEqual(realChain(machine).ask);
    expect(ark.bytes).toEqual(realChain(machine).ark);
  });

  it('finds none for a CEK the host signed', () => {
    const { cek } = parse(FORGED.chain);
    expect(() => authoritiesOf(cek, known, nodePublicKey)).toThrow(
      expect.objectContaining(mismatch("cek: it is not signed by any of AMD's signing keys (ASK)")),
    );
  });

  it('says how to get a signed CEK', () => {
    const cek = parseCertificate(resign(ROME.cek, []), 'cek');
    expect(() => authoritiesOf(cek, known, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'mismatch', hint: expect.stringContaining('fetch the signed CEK') }),
    );
  });

  it('does not take a signature for another algorithm or usage than it says', () => {
    for (const [at, value] of [
      [0x414, USAGE.cek],
      [0x418, RSA_SHA256],
    ] as const) {
      const bytes = ROME.cek.slice();
      new DataView(bytes.buffer).setUint32(at, value, true);
      const cek = parseCertificate(bytes, 'cek');
      expect(() => authoritiesOf(cek, known, nodePublicKey)).toThrow(expect.objectContaining({ kind: 'mismatch' }));
    }
  });
});

describe('verifyLabChain', () => {
  const ids = { ark: Buffer.from('bootseal lab ARK'), ask: Buffer.from('bootseal lab ASK') };
  const LAB = makePlatform(ids).chain;

  it('gives a key that is never verified', () => {
    const key = verifyLabChain(parse(LAB), nodePublicKey);
    expect(key).toMatchObject({ verified: false, root: 'lab', pdh: { usage: 'pdh' }, pek: { usage: 'pek' } });
  });

  it('is no way around the roots of AMD', () => {
    expect(() => verifyChain(parse(LAB), nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'mismatch', hint: expect.stringContaining('say --lab') }),
    );
    expect(() => verifyChain(parse(FORGED.chain), nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'mismatch', hint: expect.not.stringContaining('--lab') }),
    );
    const key = verifyLabChain(parse(LAB), nodePublicKey);
    expect(() => checkRoot(key, ['milan'])).toThrow(expect.objectContaining({ kind: 'mismatch' }));
  });

  it.each([
    ['a forged root', FORGED.chain],
    ['a real platform', ROME],
  ])('refuses %s', (_, chain) => {
    expect(() => verifyLabChain(parse(chain), nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'mismatch', message: 'ark: this is not the root of a lab' }),
    );
  });

  it.each(['ask', 'cek', 'oca', 'pek', 'pdh'] as const)('refuses another %s', (place) => {
    const chain = { ...LAB, [place]: makePlatform(ids).chain[place] };
    expect(() => verifyLabChain(parse(chain), nodePublicKey)).toThrow(expect.objectContaining({ kind: 'mismatch' }));
  });

  it('refuses a certificate in the wrong place', () => {
    expect(() => verifyLabChain({ ...parse(LAB), pdh: parse(LAB).pek }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'mismatch', message: 'pdh: its key is for use as PEK' }),
    );
  });
});
