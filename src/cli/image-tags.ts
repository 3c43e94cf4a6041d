/** @module What `image inspect` says of the integrity tags of an image, for which no key is needed. */
import { BootsealError } from '../core/errors.ts';
import { openData, type TaggedData } from '../core/luks/data.ts';
import { type DataSegment, dataSegment } from '../core/luks/segment.ts';
import type { ImageInput } from './image-input.ts';

/** The object of --json. */
export type TagsDescription =
  | {
      readonly state: 'good';
      /** Bytes for each sector. */
      readonly tagBytes: number;
      /** Bytes of the data as the kernel shows them. */
      readonly dataBytes: number;
      readonly journalBytes: number;
      /** Sectors that are newer in the journal than in their places. */
      readonly inJournal: number;
    }
  | { readonly state: 'bad'; readonly reason: string };

/** Looks at superblock and journal; null where the header names no data with tags, or data in another file. Throws `io`. */
export async function describeTags(input: ImageInput): Promise<TagsDescription | null> {
  const segment = segmentOf(input);
  if (segment?.tags === undefined) return null;
  try {
    const { layout, journal } = (await openData(input.image, segment)) as TaggedData;
    const journalBytes = layout.journal.sections * layout.journal.sectionSize;
    return {
      ...{ state: 'good', tagBytes: layout.tagSize, dataBytes: layout.dataSize },
      ...{ journalBytes, inJournal: journal.newer.size },
    };
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    return { state: 'bad', reason: error.message };
  }
}

/** What is wrong with a header that names no data is said elsewhere. */
function segmentOf({ image, header, detached }: ImageInput): DataSegment | undefined {
  try {
    return dataSegment(header, image.size, detached);
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return undefined;
  }
}

/** Returns the lines for a person. */
export function tagsLines(tags: TagsDescription | null): readonly string[] {
  if (tags === null) return [];
  if (tags.state === 'bad') return [`tags: bad (${tags.reason})`];
  const { tagBytes, dataBytes, journalBytes, inJournal } = tags;
  const journal = inJournal === 0 ? 'empty' : `with ${inJournal} sectors that are newer there`;
  return [`tags: ${tagBytes} bytes a sector; data of ${dataBytes} bytes; journal of ${journalBytes} bytes, ${journal}`];
}
