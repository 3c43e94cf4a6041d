/**
 * @module A CoRIM, the Concise Reference Integrity Manifest of draft-ietf-rats-corim, with the launch digests that an SNP report may
 * have. It is not signed: whoever takes it decides how it came there.
 */
import type { Hashes } from '../hash.ts';
import { bytesToHex } from '../hex.ts';
import { type Cbor, encodeCbor } from './cbor.ts';

/** Who is measured and by what, named as microsoft/igvm names it (igvm/src/corim/launch_measurement/profile.rs). */
const VENDOR = 'AMD';
const MODEL = 'SEV-SNP';
const MEASUREMENT = 'MEASUREMENT';

/** Name under which Trustee's RVPS keeps the digests of such a CoRIM (rvps/src/extractors/corim/README.md). */
export const CORIM_REFERENCE_VALUE = `${VENDOR}/${MODEL}/${MEASUREMENT}/digests`;

const UNSIGNED_CORIM = 501;
const COMID = 506;
/** SHA-384 among the Named Information Hash Algorithms. */
const SHA384 = 7;

const UUID_SIZE = 16;

/**
 * Returns the CBOR of an unsigned CoRIM with one CoMID, whose one measurement has all the digests (48 bytes each): a list, because
 * Trustee keeps only the last of several measurements of one name. The same digests give the same bytes.
 */
export function corimOf(digests: readonly Uint8Array[], hashes: Hashes): Uint8Array {
  const id = tagId(digests, hashes);
  const environment = map({ 0: map({ 1: VENDOR, 2: MODEL }) });
  const measurement = map({ 0: MEASUREMENT, 1: map({ 2: digests.map((digest) => [SHA384, digest]) }) });
  const comid = map({ 1: map({ 0: id }), 4: map({ 0: [[environment, [measurement]]] }) });
  return encodeCbor({
    tag: UNSIGNED_CORIM,
    value: map({
      0: `${VENDOR}/${MODEL}/launch-measurement/${bytesToHex(id)}`,
      1: [{ tag: COMID, value: encodeCbor(comid) }],
    }),
  });
}

/** A UUID (RFC 9562, version 8) of the digests: another set of digests is another tag. */
function tagId(digests: readonly Uint8Array[], hashes: Hashes): Uint8Array {
  const id = hashes.sha256(encodeCbor(digests)).slice(0, UUID_SIZE);
  id[6] = ((id[6] ?? 0) & 0x0f) | 0x80;
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
  return id;
}

const map = (entries: Readonly<Record<number, Cbor>>): Cbor =>
  new Map(Object.entries(entries).map(([key, value]) => [Number(key), value]));
