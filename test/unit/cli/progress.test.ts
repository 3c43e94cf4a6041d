import { describe, expect, it } from 'vitest';
import type { Io } from '../../../src/cli/io.ts';
import { progressLine, progressOf } from '../../../src/cli/progress.ts';

const MIB = 1 << 20;

describe('progressLine', () => {
  it.each([
    [0, 100, 1, 'encrypting   0 %  0 of 100 MiB'],
    [50, 100, 0, 'encrypting  50 %  50 of 100 MiB'],
    [50, 100, 0.5, 'encrypting  50 %  50 of 100 MiB  100 MiB/s  1 s left'],
    [100, 100, 2, 'encrypting 100 %  100 of 100 MiB  50 MiB/s  0 s left'],
    [10, 3000, 1, 'encrypting   0 %  10 of 3000 MiB  10 MiB/s  4 min 59 s left'],
    [1, 7321, 1, 'encrypting   0 %  1 of 7321 MiB  1 MiB/s  2 h 2 min left'],
  ])('of %i of %i MiB after %d s', (done, total, seconds, line) => {
    expect(progressLine('encrypting', done * MIB, total * MIB, seconds)).toBe(line);
  });
});

describe('progressOf', () => {
  function world(isTTY: boolean) {
    const written: string[] = [];
    const clock = { ms: 0 };
    const stderr = { isTTY, write: (text: string | Uint8Array) => void written.push(String(text)) };
    const io = { stderr, now: () => new Date(clock.ms) } as unknown as Io;
    return { io, written: () => written.join(''), clock };
  }

  it('rewrites one line of a terminal and erases it', () => {
    const { io, written, clock } = world(true);
    const progress = progressOf(io, 'encrypting', 4 * MIB);
    clock.ms = 1000;
    progress.show(MIB);
    progress.end();
    expect(written()).toBe('\r\u001b[Kencrypting  25 %  1 of 4 MiB  1 MiB/s  3 s left\r\u001b[K');
  });

  it('is silent where no terminal is', () => {
    const { io, written } = world(false);
    const progress = progressOf(io, 'encrypting', 4);
    progress.show(2);
    progress.end();
    expect(written()).toBe('');
  });
});
