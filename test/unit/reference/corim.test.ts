import { describe, expect, it } from 'vitest';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { CORIM_REFERENCE_VALUE, corimOf } from '../../../src/core/reference/corim.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const text = (value: string) => Buffer.from(value).toString('hex');
const [ONE, TWO] = [new Uint8Array(48).fill(0x11), new Uint8Array(48).fill(0x22)];

/** What stands for the identity of the tag in a CoRIM. */
const idOf = (corim: string) => /a10050([0-9a-f]{32})04/.exec(corim)?.[1] ?? '';

describe('a CoRIM', () => {
  // Written out from the CDDL of draft-ietf-rats-corim: corim-map {0 id, 1 tags}, concise-mid-tag {1 tag-identity, 4 triples},
  // triples-map {0 reference-triples}, class-map {1 vendor, 2 model}, measurement-map {0 mkey, 1 mval}, mval {2 digests}.
  it('is what the draft says, byte for byte', () => {
    const corim = hex(corimOf([ONE, TWO], nobleHashes));
    const id = idOf(corim);
    const measurement = `a2006b${text('MEASUREMENT')}01a1028282075830${'11'.repeat(48)}82075830${'22'.repeat(48)}`;
    const environment = `a100a20163${text('AMD')}0267${text('SEV-SNP')}`;
    const comid = `a201a10050${id}04a1008182${environment}81${measurement}`;
    const name = `AMD/SEV-SNP/launch-measurement/${id}`;
    expect(corim).toBe(
      `d901f5a20078${name.length.toString(16)}${text(name)}0181d901fa58${(comid.length / 2).toString(16)}${comid}`,
    );
  });

  it('has an identity of its own for other digests, and the same for the same', () => {
    const ids = [[ONE], [TWO], [ONE, TWO], [TWO, ONE], []].map((digests) => idOf(hex(corimOf(digests, nobleHashes))));
    expect(new Set(ids).size).toBe(5);
    expect(ids[0]).toBe(idOf(hex(corimOf([ONE], nobleHashes))));
    // RFC 9562: version 8, variant 10.
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{12}8[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  });

  it('is found in Trustee by vendor, model and what is measured', () => {
    expect(CORIM_REFERENCE_VALUE).toBe('AMD/SEV-SNP/MEASUREMENT/digests');
  });
});
