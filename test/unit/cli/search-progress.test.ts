import { describe, expect, it } from 'vitest';
import type { Io } from '../../../src/cli/io.ts';
import { withSearchProgress } from '../../../src/cli/search-progress.ts';

const STEP = 2 ** 16;

/** Tells of the first steps of a search, a second after another; returns what is written. */
function search(isTTY: boolean, total: number): string {
  const written: string[] = [];
  const clock = { ms: 0 };
  const stderr = { isTTY, write: (text: string | Uint8Array) => void written.push(String(text)) };
  const io = { stderr, now: () => new Date(clock.ms) } as unknown as Io;
  const found = withSearchProgress(io, (onTries) => {
    for (const step of [1, 2, 3]) {
      clock.ms += 1000;
      onTries(step * STEP, total);
    }
    return 'found';
  });
  expect(found).toBe('found');
  return written.join('');
}

const NOTE =
  'bootseal: note: 655360 digests with versions are tried, which may take 8 s; --api-major, --api-minor and --build-id leave one try for each digest\n';

describe('withSearchProgress', () => {
  it('says once how long a long search may take', () => expect(search(false, 10 * STEP)).toBe(NOTE));

  it('goes on saying it on a terminal, and leaves the line empty', () =>
    expect(search(true, 10 * STEP)).toBe(
      `${NOTE}\r\u001b[Ksearching 20 %  8 s left\r\u001b[Ksearching 30 %  7 s left\r\u001b[K`,
    ));

  it.each([false, true])('is silent about a short one (terminal: %s)', (isTTY) =>
    expect(search(isTTY, 4 * STEP)).toBe(''),
  );
});
