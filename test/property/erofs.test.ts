import * as fc from 'fast-check';
import { describe, it } from 'vitest';
import { checkErofsTree } from '../../src/core/disk/check-erofs.ts';
import { smallErofs, smallTree } from '../erofs-image.ts';
import { hinted } from '../failure.ts';

/** Passes whether the image is the tree or is refused with a typed error; everything else fails the test. */
function check(image: Uint8Array): void {
  try {
    checkErofsTree(smallTree(), (at, size) => image.subarray(at, at + size));
  } catch (error) {
    hinted(error);
  }
}

describe('an EROFS file system', () => {
  it('of changed bytes is refused with a typed error, or is the tree', () => {
    const place = fc.oneof(fc.integer({ min: 1024, max: 1100 }), fc.integer({ min: 4096, max: 4500 }));
    const edits = fc.array(fc.tuple(place, fc.nat({ max: 255 })), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(edits, fc.nat({ max: 2 * 4096 }), (changes, size) => {
        const image = smallErofs();
        for (const [at, byte] of changes) image[at] = byte;
        check(image);
        check(image.subarray(0, size));
      }),
      { numRuns: 1000 },
    );
  });

  it('of any bytes is refused with a typed error', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 9000 }), check));
  });
});
