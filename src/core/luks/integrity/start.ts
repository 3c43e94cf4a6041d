/** @module What stands in front of data with tags: superblock and journal. */
import { freshJournal } from './journal.ts';
import type { IntegrityLayout } from './layout.ts';
import { encodeSuperblock } from './superblock.ts';

/** Yields the start of a new segment with tags, up to the first run of tags, in pieces one after another. */
export function* integrityStart(layout: IntegrityLayout): Generator<Uint8Array> {
  yield encodeSuperblock(layout);
  yield* freshJournal(layout);
}
