/**
 * @module A hash tree of dm-verity that somebody else may have made: what its superblock says, held against the room that there is.
 * Nothing of it is trusted: the salt and every size are right only if the root hash says so in the end.
 */
import { BootsealError } from '../errors.ts';
import { type Guid, guidText } from '../guid.ts';
import { bytesToHex } from '../hex.ts';
import { type Disk, readExactly } from '../luks/disk.ts';
import { type VerityLevel, VeritySuperblock, verityLevels } from './verity.ts';

/** Where data and tree are; both may be the same disk. */
export interface VerityDisks {
  /** From the first byte of the data; it may be longer than they are. */
  readonly data: Disk;
  readonly hashes: Disk;
  /** Place of the superblock on `hashes`. */
  readonly hashAt: number;
}

/** The digests that are read here, and their bytes; SHA-1, which veritysetup takes too, is no longer safe. */
const DIGESTS = { sha256: 32, sha512: 64 } as const;
export type VerityAlgorithm = keyof typeof DIGESTS;

/** A tree whose places are all on the disk. */
export interface ReadVerity {
  readonly uuid: Guid;
  readonly algorithm: VerityAlgorithm;
  /** Bytes. */
  readonly digestSize: number;
  readonly salt: Uint8Array;
  readonly dataBlockSize: number;
  readonly hashBlockSize: number;
  readonly dataBlocks: number;
  readonly digestsPerBlock: number;
  /** The lowest first; `at` counts from the start of `hashes`. */
  readonly levels: readonly VerityLevel[];
  /** Where the tree ends on `hashes`. */
  readonly end: number;
}

const SUPERBLOCK_SIZE = VeritySuperblock.size;
const MIN_BLOCK = 512;
/** The largest page of any machine; the kernel takes no larger block than its page. */
const MAX_BLOCK = 65536;
const MAX_SALT = 256;

/** Says whether a superblock stands here. */
export async function isVerity(disk: Disk, at: number): Promise<boolean> {
  if (!Number.isSafeInteger(at) || at < 0 || at + SUPERBLOCK_SIZE > disk.size) return false;
  const start = await disk.read(at, SIGNATURE.length);
  return start.length === SIGNATURE.length && SIGNATURE.every((letter, i) => start[i] === letter);
}

const SIGNATURE = Uint8Array.from('verity\0\0', (letter) => letter.charCodeAt(0));

/** Reads the superblock. Throws `format` when it is none, breaks a rule, or asks for more data or tree than are there; `io`. */
export async function readVerity({ data, hashes, hashAt }: VerityDisks): Promise<ReadVerity> {
  if (!(await isVerity(hashes, hashAt))) throw broken(`none at byte ${hashAt}`);
  const block = await readExactly(hashes, hashAt, SUPERBLOCK_SIZE, 'the verity superblock');
  const { version, hashType, uuid, algorithm: name, ...said } = VeritySuperblock.unpack(block);
  if (version !== 1) throw broken(`version ${version} is unknown`);
  if (hashType !== 1) throw broken(`the tree has format ${hashType}, and only 1 is read`);
  const algorithm = algorithmOf(name);
  const { dataBlockSize, hashBlockSize, saltSize } = said;
  checkBlockSize(dataBlockSize, 'data');
  checkBlockSize(hashBlockSize, 'tree');
  if (saltSize > MAX_SALT) throw broken(`a salt of ${saltSize} bytes does not fit`);
  const room = Math.floor(data.size / dataBlockSize);
  if (said.dataBlocks === 0n) throw broken('there are no data');
  if (said.dataBlocks > BigInt(room)) {
    throw broken(`${said.dataBlocks} blocks of data are said to be there, and there is room for ${room}`);
  }
  const dataBlocks = Number(said.dataBlocks);
  const digestSize = DIGESTS[algorithm];
  // Of both digests a whole power of two fits into a block.
  const digestsPerBlock = hashBlockSize / digestSize;
  const start = Math.ceil((hashAt + SUPERBLOCK_SIZE) / hashBlockSize) * hashBlockSize;
  const { levels, end } = verityLevels(dataBlocks, digestsPerBlock, hashBlockSize, start);
  if (end > hashes.size) throw broken(`the tree ends at byte ${end}, and there are ${hashes.size}`);
  return {
    // In the order of its text, not that of UEFI.
    ...{ uuid: guidText(bytesToHex(uuid)), algorithm, digestSize, salt: said.salt.slice(0, saltSize) },
    ...{ dataBlockSize, hashBlockSize, dataBlocks, digestsPerBlock, levels, end },
  };
}

/** The name ends at the first NUL. */
function algorithmOf(field: Uint8Array): VerityAlgorithm {
  const end = field.indexOf(0);
  const name = String.fromCharCode(...(end === -1 ? field : field.subarray(0, end)));
  const found = (Object.keys(DIGESTS) as VerityAlgorithm[]).find((known) => known === name);
  if (found !== undefined) return found;
  throw broken(`the digest is ${JSON.stringify(name.replace(/[^ -~]/g, '?'))}, and sha256 and sha512 are read`);
}

function checkBlockSize(size: number, what: string): void {
  const isPower = Number.isInteger(Math.log2(size));
  if (!isPower || size < MIN_BLOCK || size > MAX_BLOCK) throw broken(`blocks of ${what} have ${size} bytes`);
}

function broken(what: string): BootsealError {
  return new BootsealError('format', `verity superblock: ${what}`, {
    hint: 'say with --hash-offset where the tree begins; if it is there, take a copy of the disk that you made yourself',
  });
}
