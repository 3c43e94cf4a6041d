/**
 * @module A CoRIM, the Concise Reference Integrity Manifest of draft-ietf-rats-corim, with the launch digests that an SNP report may
 * have. It is not signed: whoever takes it decides how it came there.
 */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { bytesToHex } from '../hex.ts';
import { type Cbor, encodeCbor } from './cbor.ts';

/** Who is measured and by what, named as microsoft/igvm names it (igvm/src/corim/launch_measurement/profile.rs). */
const VENDOR = 'AMD';
const MODEL = 'SEV-SNP';
const MEASUREMENT = 'MEASUREMENT';

/** What the digests are a reference state of, for a person. */
export const CORIM_MEASUREMENT = `${VENDOR}/${MODEL}/${MEASUREMENT}`;

/** Name under which Trustee's RVPS keeps the digests of such a CoRIM (rvps/src/extractors/corim/README.md). */
export const CORIM_REFERENCE_VALUE = `${CORIM_MEASUREMENT}/digests`;

const UNSIGNED_CORIM = 501;
const COMID = 506;
/** SHA-384 among the Named Information Hash Algorithms. */
const SHA384 = 7;

const UUID_SIZE = 16;

/**
 * Returns the CBOR of an unsigned CoRIM with one CoMID, which has a reference triple for each digest (48 bytes): what a report may have
 * are different states, and "different reference states for a Target Environment MUST be expressed using separate
 * `reference-triple-record` entries" (section on reference values triples). The same digests give the same bytes. Throws `usage`
 * without digests.
 */
export function corimOf(digests: readonly Uint8Array[], hashes: Hashes): Uint8Array {
  return corim(
    digests.map((digest) => [digest]),
    hashes,
  );
}

/**
 * Returns the CoRIM for Trustee, which breaks the draft where there are several digests: all are in the list of one measurement.
 * Trustee keeps only the last of several values of one name (rvps/src/extractors/corim/mod.rs, rvps/src/lib.rs). Throws `usage`
 * without digests.
 */
export function corimForTrustee(digests: readonly Uint8Array[], hashes: Hashes): Uint8Array {
  return corim([digests], hashes);
}

/** Each state is what one reference triple lists. */
function corim(states: readonly (readonly Uint8Array[])[], hashes: Hashes): Uint8Array {
  if (states.every((digests) => digests.length === 0)) {
    throw new BootsealError('usage', 'a CoRIM needs at least one digest', {
      hint: 'give the launch digests that a report may have',
    });
  }
  const triples = states.map(referenceTriple);
  const id = tagId(triples, hashes);
  const comid = map({ 1: map({ 0: id }), 4: map({ 0: triples }) });
  return encodeCbor({
    tag: UNSIGNED_CORIM,
    value: map({
      0: `${VENDOR}/${MODEL}/launch-measurement/${bytesToHex(id)}`,
      1: [{ tag: COMID, value: encodeCbor(comid) }],
    }),
  });
}

function referenceTriple(digests: readonly Uint8Array[]): Cbor {
  const environment = map({ 0: map({ 1: VENDOR, 2: MODEL }) });
  const measurement = map({ 0: MEASUREMENT, 1: map({ 2: digests.map((digest) => [SHA384, digest]) }) });
  return [environment, [measurement]];
}

/** A UUID (RFC 9562, version 8) of the contents: another set of digests, or another form of them, is another tag. */
function tagId(triples: readonly Cbor[], hashes: Hashes): Uint8Array {
  const id = hashes.sha256(encodeCbor(triples)).slice(0, UUID_SIZE);
  id[6] = ((id[6] ?? 0) & 0x0f) | 0x80;
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
  return id;
}

const map = (entries: Readonly<Record<number, Cbor>>): Cbor =>
  new Map(Object.entries(entries).map(([key, value]) => [Number(key), value]));
