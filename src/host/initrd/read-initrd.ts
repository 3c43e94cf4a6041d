/** @module An initrd, read: its segments and what each of them unpacks. */
import { type Member, readCpios } from '../../core/archive/read-cpio.ts';
import { findSegments, type Segment } from '../../core/archive/segments.ts';
import { streamSource } from '../../core/archive/source.ts';
import { BootsealError } from '../../core/errors.ts';
import type { Disk } from '../../core/luks/disk.ts';
import { segmentContent } from './decompress.ts';
import { passGzip } from './pass-gzip.ts';

/** A segment and what is in it. */
export interface ReadSegment extends Segment {
  /** undefined where it could not be decompressed, and why. */
  readonly content: SegmentContent | undefined;
  readonly why: string | undefined;
}

/** What a segment unpacks to. */
export interface SegmentContent {
  readonly members: number;
  /** Bytes of data of all members. */
  readonly bytes: number;
  /** Whether it is for the processor, which Linux looks for before it unpacks anything. */
  readonly microcode: boolean;
  readonly init: boolean;
  /** Files of bootseal's. */
  readonly bootseal: readonly string[];
}

/** Paths of bootseal's that are named. */
const MAX_NAMED = 64;

/**
 * Returns the segments; `see` is told of every member in the order in which Linux unpacks them.
 *
 * @throws `format`, `io`; a missing or failing decompressor is only noted
 */
export async function readInitrd(
  disk: Disk,
  see: (member: Member) => void = () => undefined,
): Promise<readonly ReadSegment[]> {
  const read: ReadSegment[] = [];
  for (const segment of await findSegments(disk, passGzip)) {
    try {
      read.push({ ...segment, content: await readContent(disk, segment, see), why: undefined });
    } catch (error) {
      if (!(error instanceof BootsealError) || error.kind !== 'tool') throw error;
      read.push({ ...segment, content: undefined, why: error.message });
    }
  }
  return read;
}

async function readContent(disk: Disk, segment: Segment, see: (member: Member) => void): Promise<SegmentContent> {
  let [members, bytes, microcode, init] = [0, 0, false, false];
  const bootseal: string[] = [];
  for await (const member of readCpios(streamSource(segmentContent(disk, segment)))) {
    see(member);
    members++;
    bytes += member.size;
    microcode ||= member.name.startsWith('kernel/x86/microcode/');
    init ||= member.name === 'init';
    if (isOurs(member) && bootseal.length < MAX_NAMED) bootseal.push(member.name);
  }
  return { members, bytes, microcode, init, bootseal };
}

/** Says whether a member is a file of bootseal's: something on its path has the name. */
function isOurs({ name, mode }: Member): boolean {
  return (mode & 0o170000) === 0o100000 && name.split('/').some((part) => part.startsWith('bootseal'));
}
