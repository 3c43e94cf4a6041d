/** @module The header of a new LUKS2 image: two copies, and a keyslots area in which used and unused places look alike. */
import { bytesToBase64 } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import { computeDigest } from './digest.ts';
import { type CopyName, encodeHeaderCopy } from './header.ts';
import { sealKeyslot } from './keyslot.ts';
import { keyslotJson } from './keyslot-json.ts';
import { BINARY_HEADER_SIZE, HEADER_SIZES } from './metadata/config.ts';
import { type JsonObject, type JsonValue, type Plain, toJson } from './metadata/json.ts';
import { type KnownKdf, MAX_KEYSLOTS, SALT_SIZE, STRIPES, stripesSize } from './metadata/keyslots.ts';
import { printMetadata, validateMetadata } from './metadata.ts';
import type { KdfChoice, Random } from './plan.ts';
import { AREA_ENCRYPTION, DIGEST_ITERATIONS, HASH, type HeaderInputs, type HeaderParts } from './plan-header.ts';
import { encryptionOf } from './plan-sectors.ts';
import { tokenJson } from './token.ts';

const HASH_SIZE = 32;
const COPY_SIZE = HEADER_SIZES[0] ?? 0;
const HEADER_SALT_SIZE = 64;
const ALIGNMENT = 4096;
const FIRST_SEQID = 1n;
/** The kernel's journal could be encrypted and authenticated by itself, which cryptsetup does not do under LUKS2. */
const NO_JOURNAL_CRYPTO = { journal_encryption: 'none', journal_integrity: 'none' };

/** Returns the parts of the header; throws `usage` when the keys do not fit into it. */
export async function planLuks2Header(inputs: HeaderInputs): Promise<HeaderParts> {
  const { options, uuid, random, crypto } = inputs;
  const volumeKey = inputs.sectors.key;
  const keyslotsSize = options.headerSize - 2 * COPY_SIZE;
  const areaSize = Math.ceil(stripesSize(volumeKey.length) / ALIGNMENT) * ALIGNMENT;
  const most = Math.min(MAX_KEYSLOTS, Math.floor(keyslotsSize / areaSize));
  if (options.keys.length > most) {
    throw new BootsealError('usage', `a header of ${options.headerSize} bytes has room for ${Math.max(most, 0)} keys`, {
      hint: 'give fewer keys',
    });
  }
  // Random from end to end: unused keyslots do not tell that they are.
  const keyslotsArea = random(keyslotsSize);
  const keyslots: [string, JsonValue][] = [];
  for (const [id, key] of options.keys.entries()) {
    const at = id * areaSize;
    const kdf = newKdf(key.kdf, random);
    const cipher = { encryption: AREA_ENCRYPTION, encryptionKeySize: options.keySize };
    const format = { where: `keyslot ${id}`, kdf, afHash: HASH, ...cipher };
    const filler = random((STRIPES - 1) * volumeKey.length);
    const keyed = { ...format, keySize: volumeKey.length };
    keyslotsArea.set(await sealKeyslot(keyed, volumeKey, key.passphrase, filler, crypto), at);
    const area = { offset: 2 * COPY_SIZE + at, size: areaSize };
    keyslots.push([String(id), keyslotJson({ ...keyed, area, priority: key.priority })]);
  }
  const json = metadata(inputs, keyslots, keyslotsSize, await digestPlain(inputs));
  validateMetadata(json, COPY_SIZE);
  const area = printMetadata(json, COPY_SIZE);
  const copy = (name: CopyName) => {
    const { label = '', subsystem = '' } = options;
    const salt = random(HEADER_SALT_SIZE);
    return encodeHeaderCopy({ size: COPY_SIZE, seqid: FIRST_SEQID, label, subsystem, uuid, salt, area }, name);
  };
  const [primary, secondary] = [copy('primary'), copy('secondary')];
  return [
    { at: 2 * COPY_SIZE, bytes: keyslotsArea },
    { at: COPY_SIZE, bytes: secondary },
    { at: 0, bytes: primary },
  ];
}

function newKdf(choice: KdfChoice, random: Random): KnownKdf {
  const salt = random(SALT_SIZE);
  return choice.type === 'pbkdf2' ? { ...choice, hash: HASH, salt } : { ...choice, salt };
}

async function digestPlain({ options, sectors, random, crypto }: HeaderInputs): Promise<Plain> {
  const salt = random(SALT_SIZE);
  const parameters = { hash: HASH, iterations: DIGEST_ITERATIONS, salt };
  const digest = await computeDigest(sectors.key, parameters, HASH_SIZE, 'digest', crypto);
  return {
    type: 'pbkdf2',
    keyslots: options.keys.map((_, id) => String(id)),
    segments: ['0'],
    hash: HASH,
    iterations: DIGEST_ITERATIONS,
    salt: bytesToBase64(salt),
    digest: bytesToBase64(digest),
  };
}

function metadata(
  { options, sectors }: HeaderInputs,
  keyslots: readonly (readonly [string, JsonValue])[],
  keyslotsSize: number,
  digest: Plain,
): JsonObject {
  const tokens: [string, JsonValue][] = (options.tokens ?? []).map(({ meaning, keyslots: ids }, id) => [
    String(id),
    tokenJson(meaning, ids),
  ]);
  const segment = {
    type: 'crypt',
    offset: options.detached ? '0' : String(options.headerSize),
    size: 'dynamic',
    iv_tweak: '0',
    encryption: encryptionOf(sectors),
    sector_size: options.sectorSize,
    ...(sectors.tags === undefined ? {} : { integrity: { type: sectors.tags.integrity, ...NO_JOURNAL_CRYPTO } }),
  };
  const config = { json_size: String(COPY_SIZE - BINARY_HEADER_SIZE), keyslots_size: String(keyslotsSize) };
  return new Map<string, JsonValue>([
    ['keyslots', new Map(keyslots)],
    ['tokens', new Map(tokens)],
    ['segments', toJson({ 0: segment })],
    ['digests', toJson({ 0: digest })],
    ['config', toJson(config)],
  ]);
}
