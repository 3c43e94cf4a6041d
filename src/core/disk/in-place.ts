/** @module Bytes of a disk that are overwritten where they are in its file, so that nothing else in the file changes. */
import { BootsealError } from '../errors.ts';
import type { Stage } from '../luks/header-change.ts';

/** Bytes of a file. */
export interface Place {
  readonly at: number;
  readonly size: number;
}

/** Says where bytes of a disk are in its file, in order. Throws `format` when they cannot be overwritten there; `io`. */
export type Places = (at: number, size: number) => Promise<readonly Place[]>;

/** The places of a disk that is the file. */
export const filePlaces: Places = async (at, size) => [{ at, size }];

/** Returns the places of a part of a disk, beyond whose end nothing is. */
export function placesWithin(places: Places, start: number, length: number): Places {
  return async (at, size) => {
    if (at + size > length) {
      throw new BootsealError('format', `the change would write ${size} bytes at ${at} of ${length}: beyond the end`, {
        hint: 'the disk or its partition was cut short, or a header was changed: take a copy that you made yourself',
      });
    }
    return places(start + at, size);
  };
}

/** Returns the same writes, to the file; throws as `places` for any of them. */
export async function placeStages(stages: readonly Stage[], places: Places): Promise<readonly Stage[]> {
  const placed: Stage[] = [];
  for (const stage of stages) {
    const writes: Stage[number][] = [];
    for (const { at, bytes } of stage) {
      let done = 0;
      for (const place of await places(at, bytes.length)) {
        writes.push({ at: place.at, bytes: bytes.subarray(done, done + place.size) });
        done += place.size;
      }
    }
    placed.push(writes);
  }
  return placed;
}
