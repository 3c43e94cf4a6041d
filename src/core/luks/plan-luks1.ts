/** @module The header of a new LUKS1 image, for a GRUB that firmware starts: keys that GRUB cannot take are refused. */
import { BootsealError } from '../errors.ts';
import { computeDigest } from './digest.ts';
import { sealKeyslot } from './keyslot.ts';
import { encodeLuks1, LUKS1_HEADER_SIZE, LUKS1_KEYSLOTS, type Luks1Keyslot, luks1KeyslotOffset } from './luks1.ts';
import { SALT_SIZE, STRIPES } from './metadata/keyslots.ts';
import type { PlanOptions } from './plan.ts';
import { AREA_ENCRYPTION, DIGEST_ITERATIONS, HASH, type HeaderInputs, type HeaderParts } from './plan-header.ts';

const DIGEST_SIZE = 20;
const KEYSLOTS_START = 4096;
/** GRUB keeps a passphrase in 256 bytes with a NUL at its end (grub-core/disk/cryptodisk.c, GRUB_CRYPTODISK_MAX_PASSPHRASE). */
const GRUB_MAX_PASSPHRASE = 255;

/** Returns the parts of the header; throws `usage` when the keys do not fit or GRUB cannot take them. */
export async function planLuks1Header(inputs: HeaderInputs): Promise<HeaderParts> {
  const { options, sectors, random, crypto, uuid } = inputs;
  const volumeKey = sectors.key;
  const encryption = AREA_ENCRYPTION;
  const { headerSize, detached, keys } = options;
  const keySize = volumeKey.length;
  checkLuks1Options(options, luks1KeyslotOffset(LUKS1_KEYSLOTS, keySize));
  const material = random(headerSize - KEYSLOTS_START);
  const keyslots: Luks1Keyslot[] = [];
  for (let id = 0; id < LUKS1_KEYSLOTS; id++) {
    const offset = luks1KeyslotOffset(id, keySize);
    const key = keys[id];
    if (key?.kdf.type !== 'pbkdf2') {
      keyslots.push({ id, active: false, iterations: 0, salt: new Uint8Array(SALT_SIZE), offset });
      continue;
    }
    const { iterations } = key.kdf;
    const salt = random(SALT_SIZE);
    const kdf = { type: 'pbkdf2', hash: HASH, iterations, salt } as const;
    const format = { where: `keyslot ${id}`, kdf, afHash: HASH, encryption, encryptionKeySize: keySize, keySize };
    const filler = random((STRIPES - 1) * keySize);
    material.set(await sealKeyslot(format, volumeKey, key.passphrase, filler, crypto), offset - KEYSLOTS_START);
    keyslots.push({ id, active: true, iterations, salt, offset });
  }
  const digestSalt = random(SALT_SIZE);
  const parameters = { hash: HASH, iterations: DIGEST_ITERATIONS, salt: digestSalt };
  const header = encodeLuks1({
    version: 1,
    encryption,
    hash: HASH,
    payloadOffset: detached ? 0 : headerSize,
    keySize,
    digest: await computeDigest(volumeKey, parameters, DIGEST_SIZE, 'digest', crypto),
    digestSalt,
    digestIterations: DIGEST_ITERATIONS,
    uuid,
    keyslots,
  });
  const first = new Uint8Array(KEYSLOTS_START);
  first.set(header.subarray(0, LUKS1_HEADER_SIZE));
  return [
    { at: KEYSLOTS_START, bytes: material },
    { at: 0, bytes: first },
  ];
}

function checkLuks1Options(options: PlanOptions, end: number): void {
  const { keys, headerSize, label = '', subsystem = '', tokens = [] } = options;
  if (headerSize < end) {
    throw new BootsealError('usage', `a LUKS1 header takes at least ${end} bytes, not ${headerSize}`, {
      hint: 'make the header larger',
    });
  }
  if (keys.length > LUKS1_KEYSLOTS) {
    throw new BootsealError('usage', `LUKS1 has room for ${LUKS1_KEYSLOTS} keys`, {
      hint: 'give fewer keys, or make a LUKS2 header, without --luks1',
    });
  }
  if (label !== '' || subsystem !== '' || tokens.length > 0) {
    throw new BootsealError('usage', 'LUKS1 has no label, no subsystem and no tokens', {
      hint: 'leave them out, or make a LUKS2 header, without --luks1',
    });
  }
  for (const [id, { passphrase, kdf, priority }] of keys.entries()) {
    if (kdf.type !== 'pbkdf2') {
      throw new BootsealError('usage', `key ${id}: LUKS1 has only pbkdf2, not ${kdf.type}`, {
        hint: 'take --kdf pbkdf2, or make a LUKS2 header, without --luks1',
      });
    }
    if (priority !== undefined) {
      throw new BootsealError('usage', `key ${id}: LUKS1 has no priorities`, {
        hint: 'leave it out, or make a LUKS2 header, without --luks1',
      });
    }
    checkGrubKey(passphrase, `key ${id}`);
  }
}

/**
 * Refuses a passphrase that GRUB cannot take: a C string of one line.
 *
 * @throws `usage` naming the key as `what`
 */
export function checkGrubKey(passphrase: Uint8Array, what: string): void {
  const hint = 'take a key of text, such as 32 random bytes written in base64, without a newline';
  if (passphrase.length > GRUB_MAX_PASSPHRASE) {
    throw new BootsealError('usage', `${what}: GRUB takes at most ${GRUB_MAX_PASSPHRASE} bytes`, { hint });
  }
  if ([0x00, 0x0a, 0x0d].some((byte) => passphrase.includes(byte))) {
    throw new BootsealError('usage', `${what}: GRUB takes no NUL and no line break in a key`, { hint });
  }
}
