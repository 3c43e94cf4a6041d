import { describe, expect, it } from 'vitest';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { CORIM_REFERENCE_VALUE, corimForTrustee, corimOf } from '../../../src/core/reference/corim.ts';
import { failure } from '../../failure.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const text = (value: string) => Buffer.from(value).toString('hex');
const [ONE, TWO] = [new Uint8Array(48).fill(0x11), new Uint8Array(48).fill(0x22)];

/** What stands for the identity of the tag in a CoRIM. */
const idOf = (corim: string) => /a10050([0-9a-f]{32})04/.exec(corim)?.[1] ?? '';

describe('a CoRIM', () => {
  // Written out from the CDDL of draft-ietf-rats-corim: corim-map {0 id, 1 tags}, concise-mid-tag {1 tag-identity, 4 triples},
  // triples-map {0 reference-triples}, class-map {1 vendor, 2 model}, measurement-map {0 mkey, 1 mval}, mval {2 digests}.
  const environment = `a100a20163${text('AMD')}0267${text('SEV-SNP')}`;
  const digest = (byte: string) => `82075830${byte.repeat(48)}`;
  const triple = (digests: string) => `82${environment}81a2006b${text('MEASUREMENT')}01a102${digests}`;
  const corimWith = (id: string, triples: string) => {
    const comid = `a201a10050${id}04a100${triples}`;
    const name = `AMD/SEV-SNP/launch-measurement/${id}`;
    const length = comid.length / 2;
    const head = length < 256 ? `58${length.toString(16)}` : `59${length.toString(16).padStart(4, '0')}`;
    return `d901f5a20078${name.length.toString(16)}${text(name)}0181d901fa${head}${comid}`;
  };

  // "Different reference states for a Target Environment MUST be expressed using separate reference-triple-record entries", and in a
  // digests-type "each entry MUST have a unique alg value" (sections on reference values triples and on digests).
  it('is what the draft says, byte for byte: a reference triple for each digest', () => {
    const corim = hex(corimOf([ONE, TWO], nobleHashes));
    expect(corim).toBe(corimWith(idOf(corim), `82${triple(`81${digest('11')}`)}${triple(`81${digest('22')}`)}`));
    const single = hex(corimOf([TWO], nobleHashes));
    expect(single).toBe(corimWith(idOf(single), `81${triple(`81${digest('22')}`)}`));
  });

  it('for Trustee has all digests in one list, since it keeps the last of several values of one name', () => {
    const corim = hex(corimForTrustee([ONE, TWO], nobleHashes));
    expect(corim).toBe(corimWith(idOf(corim), `81${triple(`82${digest('11')}${digest('22')}`)}`));
    expect(corimForTrustee([ONE], nobleHashes)).toEqual(corimOf([ONE], nobleHashes));
  });

  it('has an identity of its own for other contents, and the same for the same', () => {
    const ids = [[ONE], [TWO], [ONE, TWO], [TWO, ONE]].map((digests) => idOf(hex(corimOf(digests, nobleHashes))));
    ids.push(idOf(hex(corimForTrustee([ONE, TWO], nobleHashes))));
    expect(new Set(ids).size).toBe(5);
    expect(ids[0]).toBe(idOf(hex(corimOf([ONE], nobleHashes))));
    // RFC 9562: version 8, variant 10.
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{12}8[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  });

  it('is not made of nothing: a list of triples has at least one', () => {
    for (const make of [corimOf, corimForTrustee]) {
      expect(failure(() => make([], nobleHashes))).toEqual({
        kind: 'usage',
        message: 'a CoRIM needs at least one digest',
        hint: 'give the launch digests that a report may have',
      });
    }
  });

  it('is found in Trustee by vendor, model and what is measured', () => {
    expect(CORIM_REFERENCE_VALUE).toBe('AMD/SEV-SNP/MEASUREMENT/digests');
  });
});
