/**
 * @module LUKS1 (LUKS1 On-Disk Format Specification 1.2.3): one header without checksum or copy, eight keyslots, PBKDF2 only. It
 * is what every GRUB can open.
 */

import { bytes, layout, text, u16be, u32be, type Values } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Disk, readExactly } from './disk.ts';
import { MAGIC } from './header.ts';
import { STRIPES, stripesSize } from './metadata/keyslots.ts';
import { OWN_COPY } from './own-copy.ts';

/** Section 2.2, key slot layout. */
const KeyBlock = layout('LUKS1 keyslot', {
  active: u32be,
  iterations: u32be,
  salt: bytes(32),
  /** In units of 512 bytes. */
  keyMaterialOffset: u32be,
  stripes: u32be,
});

/** Section 2.1, the partition header; integers are big-endian. */
const Phdr = layout('LUKS1 header', {
  magic: bytes(6),
  version: u16be,
  cipherName: text(32),
  cipherMode: text(32),
  hashSpec: text(32),
  /** In units of 512 bytes. */
  payloadOffset: u32be,
  keyBytes: u32be,
  digest: bytes(20),
  digestSalt: bytes(32),
  digestIterations: u32be,
  uuid: text(40),
  keyslot0: KeyBlock,
  keyslot1: KeyBlock,
  keyslot2: KeyBlock,
  keyslot3: KeyBlock,
  keyslot4: KeyBlock,
  keyslot5: KeyBlock,
  keyslot6: KeyBlock,
  keyslot7: KeyBlock,
});

const ENABLED = 0x00ac71f3;
const DISABLED = 0x0000dead;
const UNIT = 512;
/** Key material starts at multiples of this; bytes. */
const ALIGNMENT = 4096;
/** Bytes, as for LUKS2. */
const MAX_KEY_BYTES = 512;
export const LUKS1_HEADER_SIZE = Phdr.size;
export const LUKS1_KEYSLOTS = 8;

/** One of the eight keyslots. */
export interface Luks1Keyslot {
  readonly id: number;
  readonly active: boolean;
  readonly iterations: number;
  /** 32 bytes. */
  readonly salt: Uint8Array;
  /** Bytes from the start of the header. */
  readonly offset: number;
}

/** A LUKS1 header. */
export interface Luks1Header {
  readonly version: 1;
  /** Such as `aes-xts-plain64`. */
  readonly encryption: string;
  /** Of key derivation, digest and anti-forensic splitter. */
  readonly hash: string;
  /** Bytes from the start of the data device; 0 for a detached header. */
  readonly payloadOffset: number;
  /** Bytes of the volume key. */
  readonly keySize: number;
  /** 20 bytes. */
  readonly digest: Uint8Array;
  readonly digestSalt: Uint8Array;
  readonly digestIterations: number;
  readonly uuid: string;
  readonly keyslots: readonly Luks1Keyslot[];
}

/** Reads the header of a disk; throws `format` naming what breaks a rule, also when a keyslot lies beyond the end; `io`. */
export async function readLuks1(disk: Disk): Promise<Luks1Header> {
  const header = parseLuks1(await readExactly(disk, 0, Phdr.size, 'the LUKS1 header'));
  for (const { id, active, offset } of header.keyslots) {
    if (active && offset + stripesSize(header.keySize) > disk.size) {
      throw broken(`keyslot ${id} ends beyond the ${disk.size} bytes of the image`);
    }
  }
  return header;
}

/** Reads a header of 592 bytes; throws `format` naming what breaks a rule. */
export function parseLuks1(header: Uint8Array): Luks1Header {
  const phdr = Phdr.unpack(header);
  if (!MAGIC.primary.every((byte, i) => phdr.magic[i] === byte)) throw broken('wrong magic number');
  if (phdr.version !== 1) throw broken(`version ${phdr.version} instead of 1`);
  if (phdr.keyBytes === 0 || phdr.keyBytes > MAX_KEY_BYTES) throw broken(`a key of ${phdr.keyBytes} bytes`);
  if (phdr.digestIterations === 0) throw broken('a digest of no iterations');
  const payloadOffset = phdr.payloadOffset * UNIT;
  const keyslots = keyBlocks(phdr).map((block, id) => readKeyslot(block, id, phdr.keyBytes, payloadOffset));
  checkOverlap(keyslots, stripesSize(phdr.keyBytes));
  return {
    version: 1,
    encryption: `${phdr.cipherName}-${phdr.cipherMode}`,
    hash: phdr.hashSpec,
    payloadOffset,
    keySize: phdr.keyBytes,
    digest: phdr.digest,
    digestSalt: phdr.digestSalt,
    digestIterations: phdr.digestIterations,
    uuid: phdr.uuid,
    keyslots,
  };
}

/** Returns the 592 bytes of a header with all eight keyslots; the cipher name is split at its first hyphen. */
export function encodeLuks1(header: Luks1Header): Uint8Array {
  const hyphen = header.encryption.indexOf('-');
  const block = (id: number): Values<typeof KeyBlock.fields> => {
    const slot = header.keyslots[id];
    if (slot === undefined) {
      throw new BootsealError('usage', `a LUKS1 header needs ${LUKS1_KEYSLOTS} keyslots`, {
        hint: 'give all of them, also those that are not in use',
      });
    }
    return {
      active: slot.active ? ENABLED : DISABLED,
      iterations: slot.iterations,
      salt: slot.salt,
      keyMaterialOffset: slot.offset / UNIT,
      stripes: STRIPES,
    };
  };
  return Phdr.pack({
    magic: MAGIC.primary,
    version: 1,
    cipherName: header.encryption.slice(0, hyphen),
    cipherMode: header.encryption.slice(hyphen + 1),
    hashSpec: header.hash,
    payloadOffset: header.payloadOffset / UNIT,
    keyBytes: header.keySize,
    digest: header.digest,
    digestSalt: header.digestSalt,
    digestIterations: header.digestIterations,
    uuid: header.uuid,
    keyslot0: block(0),
    keyslot1: block(1),
    keyslot2: block(2),
    keyslot3: block(3),
    keyslot4: block(4),
    keyslot5: block(5),
    keyslot6: block(6),
    keyslot7: block(7),
  });
}

/** Returns where keyslot `id` of a new header starts, in bytes; with `id` 8, where the keyslots end. */
export function luks1KeyslotOffset(id: number, keySize: number): number {
  return ALIGNMENT + id * Math.ceil(stripesSize(keySize) / ALIGNMENT) * ALIGNMENT;
}

function keyBlocks(phdr: Values<typeof Phdr.fields>): readonly Values<typeof KeyBlock.fields>[] {
  return [
    phdr.keyslot0,
    phdr.keyslot1,
    phdr.keyslot2,
    phdr.keyslot3,
    phdr.keyslot4,
    phdr.keyslot5,
    phdr.keyslot6,
    phdr.keyslot7,
  ];
}

function readKeyslot(
  block: Values<typeof KeyBlock.fields>,
  id: number,
  keySize: number,
  payloadOffset: number,
): Luks1Keyslot {
  const offset = block.keyMaterialOffset * UNIT;
  const active = block.active === ENABLED;
  if (!active && block.active !== DISABLED) throw broken(`keyslot ${id} is neither enabled nor disabled`);
  if (block.stripes !== STRIPES) throw broken(`keyslot ${id} has ${block.stripes} stripes instead of ${STRIPES}`);
  if (offset < Phdr.size) throw broken(`keyslot ${id} starts at ${offset}, inside the header`);
  if (payloadOffset !== 0 && offset + stripesSize(keySize) > payloadOffset) {
    throw broken(`keyslot ${id} reaches into the data, which start at ${payloadOffset}`);
  }
  if (active && block.iterations === 0) throw broken(`keyslot ${id} has no iterations`);
  return { id, active, iterations: block.iterations, salt: block.salt, offset };
}

function checkOverlap(keyslots: readonly Luks1Keyslot[], size: number): void {
  for (const { id, offset } of keyslots) {
    const other = keyslots.find((slot) => slot.id > id && Math.abs(slot.offset - offset) < size);
    if (other !== undefined) throw broken(`keyslot ${id} overlaps keyslot ${other.id}`);
  }
}

function broken(what: string): BootsealError {
  return new BootsealError('format', `LUKS1 header: ${what}`, OWN_COPY);
}
