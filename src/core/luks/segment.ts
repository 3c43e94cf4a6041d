/** @module The data of an image: which bytes of the data device are encrypted, and how. */

import { BootsealError } from '../errors.ts';
import { type Cipher, findCipher } from './cipher.ts';
import { CUT_SHORT } from './disk.ts';
import type { LuksHeader } from './image.ts';
import { findTagScheme, type TagScheme } from './integrity/schemes.ts';
import { isBackup, type Segment } from './metadata/segments.ts';
import { OWN_COPY } from './own-copy.ts';
import { quoted } from './quote.ts';

const FOREIGN = {
  hint: 'cryptsetup may open it; if you did not make it so, restore the header from a copy that you made yourself',
};

interface SegmentPlace {
  /** Bytes from the start of the data device. */
  readonly offset: number;
  /** Bytes: without tags a multiple of the sector size. */
  readonly size: number;
  /** Bytes. */
  readonly keySize: number;
  readonly sectorSize: number;
  readonly ivTweak: bigint;
}

/** An encrypted part of a data device, without integrity tags. */
export interface PlainSegment extends SegmentPlace {
  readonly cipher: Cipher;
  readonly tags?: undefined;
}

/** An encrypted part of a data device with integrity tags, a superblock and a journal. */
export interface TaggedSegment extends SegmentPlace {
  readonly cipher?: undefined;
  readonly tags: TagScheme;
}

/** The encrypted part of a data device. */
export type DataSegment = PlainSegment | TaggedSegment;

/** The sector sizes that dm-crypt takes. */
const SECTOR_SIZES: readonly number[] = [512, 1024, 2048, 4096];

/**
 * Returns the data segment of an image.
 *
 * @param header of the image
 * @param deviceSize bytes of the device or file that holds the data
 * @param detached whether the header comes from elsewhere
 * @throws `format` when the data are not one encrypted segment that the device holds, `usage` when the header says that
 * they are in another file
 */
export function dataSegment(header: LuksHeader, deviceSize: number, detached: boolean): DataSegment {
  const segment =
    header.version === 1 ? luks1Segment(header.payloadOffset, header.encryption, header.keySize) : luks2Segment(header);
  const { offset, keySize, sectorSize, ivTweak } = segment;
  if (offset === 0n && !detached) {
    throw new BootsealError('usage', 'this is a detached header: the data are in another file', {
      hint: 'give the file with the data, and this one with --header',
    });
  }
  const size = segment.size === 'dynamic' ? BigInt(deviceSize) - offset : segment.size;
  if (offset + size > BigInt(deviceSize) || size <= 0n) {
    throw new BootsealError(
      'format',
      `the data start at ${offset} and end beyond the ${deviceSize} bytes of the image`,
      CUT_SHORT,
    );
  }
  // With tags, their superblock says how much of it the data are.
  if (segment.tags === undefined && size % BigInt(sectorSize) !== 0n) {
    throw new BootsealError(
      'format',
      `the data of ${size} bytes are not a whole number of sectors of ${sectorSize}`,
      CUT_SHORT,
    );
  }
  const place = { offset: Number(offset), size: Number(size), keySize, sectorSize, ivTweak };
  return segment.tags === undefined ? { ...place, cipher: segment.cipher } : { ...place, tags: segment.tags };
}

type Unchecked<T> = T extends DataSegment ? Omit<T, 'offset' | 'size'> & Pick<Segment, 'offset' | 'size'> : never;
type Found = Unchecked<DataSegment>;

function luks1Segment(payloadOffset: number, encryption: string, keySize: number): Found {
  const cipher = findCipher(encryption, keySize, 'LUKS1 header');
  return { offset: BigInt(payloadOffset), size: 'dynamic', cipher, keySize, sectorSize: 512, ivTweak: 0n };
}

function luks2Segment(header: LuksHeader & { version: 2 }): Found {
  const { segments, digests, keyslots, config } = header.current.metadata;
  if (config.requirements.length > 0) {
    throw new BootsealError(
      'format',
      `the header requires ${config.requirements.map(quoted).join(', ')}, which is not known here`,
      {
        hint: 'a reencryption that was interrupted is finished with cryptsetup reencrypt --resume-only',
      },
    );
  }
  const [segment, another] = segments.filter((candidate) => !isBackup(candidate));
  if (segment === undefined || another !== undefined) {
    throw new BootsealError('format', 'the data are in several segments, and only one can be read', FOREIGN);
  }
  const where = `segments.${segment.id}`;
  const { crypt } = segment;
  if (segment.type !== 'crypt' || crypt === undefined) {
    throw new BootsealError('format', `${where}: the type ${quoted(segment.type)} is not known here`, FOREIGN);
  }
  if (!SECTOR_SIZES.includes(crypt.sectorSize)) {
    throw new BootsealError('format', `${where}: sectors of ${crypt.sectorSize} bytes do not exist`, OWN_COPY);
  }
  const digest = digests.find((candidate) => candidate.segments.includes(segment.id));
  const keySize = keyslots.find(({ id }) => digest?.keyslots.includes(id) === true)?.keySize;
  if (keySize === undefined) throw new BootsealError('format', `${where}: no keyslot has its key`, OWN_COPY);
  const place = { ...segment, keySize, sectorSize: crypt.sectorSize, ivTweak: crypt.ivTweak };
  if (crypt.integrity === undefined) return { ...place, cipher: findCipher(crypt.encryption, keySize, where) };
  const { type, journalEncryption, journalIntegrity } = crypt.integrity;
  for (const name of [journalEncryption, journalIntegrity]) {
    if (name !== 'none')
      throw new BootsealError('format', `${where}: a journal with ${quoted(name)} is not known here`, FOREIGN);
  }
  return { ...place, tags: findTagScheme(crypt.encryption, type, keySize, where) };
}
