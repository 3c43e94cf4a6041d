/**
 * @module A whole LUKS2 header: which of its two copies counts, and whether they agree (cryptsetup, LUKS2_disk_hdr_read in
 * lib/luks2/luks2_disk_metadata.c).
 */

import { BootsealError } from '../errors.ts';
import { CUT_SHORT, type Disk, readExactly } from './disk.ts';
import { type CopyName, type HeaderCopy, headerSizeAt, parseHeaderCopy } from './header.ts';
import { BINARY_HEADER_SIZE, HEADER_SIZES } from './metadata/config.ts';
import { printJson } from './metadata/json.ts';
import { OWN_COPY } from './own-copy.ts';

/** What became of one copy: readable, older than the other one, or why it is not readable. */
export type CopyState =
  | { readonly state: 'good' | 'obsolete'; readonly copy: HeaderCopy }
  | { readonly state: 'bad'; readonly reason: string };

/** A LUKS2 header. */
export interface Luks2Header {
  readonly version: 2;
  /** The copy that counts. */
  readonly current: HeaderCopy;
  readonly copies: Readonly<Record<CopyName, CopyState>>;
}

/**
 * Reads both copies and takes the one with the higher sequence number, the primary when they are equal.
 *
 * @throws `format` when neither copy is readable, or the keyslots area reaches beyond the end of the disk; `io`
 */
export async function readLuks2(disk: Disk): Promise<Luks2Header> {
  const primary = await readCopy(disk, 'primary', 0);
  const secondary = await readSecondary(disk, primary);
  const copies = rank(primary, secondary);
  const current = currentCopy(copies);
  const end = 2 * current.size + current.metadata.config.keyslotsSize;
  if (end > disk.size) {
    throw new BootsealError(
      'format',
      `the image ends after ${disk.size} bytes, before the end of the keyslots area at ${end}`,
      CUT_SHORT,
    );
  }
  return { version: 2, current, copies };
}

/** Says whether both copies are good and the same but for their salts and checksums. */
export function copiesAgree({ copies }: Luks2Header): boolean {
  const { primary, secondary } = copies;
  if (primary.state !== 'good' || secondary.state !== 'good') return false;
  const [a, b] = [primary.copy, secondary.copy];
  return (
    a.size === b.size &&
    a.label === b.label &&
    a.subsystem === b.subsystem &&
    a.uuid === b.uuid &&
    printJson(a.metadata.json) === printJson(b.metadata.json)
  );
}

async function readSecondary(disk: Disk, primary: CopyState): Promise<CopyState> {
  if (primary.state !== 'bad') return readCopy(disk, 'secondary', primary.copy.size);
  // Nothing says how long the primary was: every place where the other may stand is tried.
  let firstReason: CopyState | undefined;
  for (const offset of HEADER_SIZES) {
    const found = await readCopy(disk, 'secondary', offset);
    if (found.state !== 'bad') return found;
    firstReason ??= found;
  }
  return firstReason ?? primary;
}

async function readCopy(disk: Disk, name: CopyName, offset: number): Promise<CopyState> {
  try {
    const start = await readExactly(disk, offset, BINARY_HEADER_SIZE, `the ${name} header`);
    const size = headerSizeAt(start, name, offset);
    const copy = await readExactly(disk, offset, size, `the ${name} header`);
    return { state: 'good', copy: parseHeaderCopy(copy, name, offset) };
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind === 'io') throw error;
    return { state: 'bad', reason: error.message };
  }
}

function rank(primary: CopyState, secondary: CopyState): Luks2Header['copies'] {
  if (primary.state === 'bad' || secondary.state === 'bad') return { primary, secondary };
  const obsolete = (state: CopyState & { copy: HeaderCopy }): CopyState => ({ state: 'obsolete', copy: state.copy });
  if (primary.copy.seqid > secondary.copy.seqid) return { primary, secondary: obsolete(secondary) };
  if (primary.copy.seqid < secondary.copy.seqid) return { primary: obsolete(primary), secondary };
  return { primary, secondary };
}

function currentCopy({ primary, secondary }: Luks2Header['copies']): HeaderCopy {
  if (primary.state === 'good') return primary.copy;
  if (secondary.state === 'good') return secondary.copy;
  const reason = primary.state === 'bad' ? primary.reason : '';
  const other = secondary.state === 'bad' ? secondary.reason : '';
  throw new BootsealError('format', `no copy of the LUKS2 header is readable: ${reason}; ${other}`, OWN_COPY);
}
