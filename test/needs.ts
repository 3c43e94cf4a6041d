/**
 * @module Tests that need a program of somebody else, or root: without it they are skipped with the reason on a person's machine, and
 * fail in CI (`CI=true`), where a skipped proof would go unseen.
 */
import * as fs from 'node:fs';
import { describe, it, type TestContext } from 'vitest';

/** A program that may be missing. */
export interface Needed {
  readonly name: string;
  /** Files that are all there when it can be used. */
  readonly files: readonly string[];
  /** One sentence: how to get it. */
  readonly how: string;
}

/** Declares tests that run only where `needed` is installed. */
export function describeWith(needed: Needed, title: string, tests: () => void): void {
  const missing = needed.files.find((file) => !fs.existsSync(file));
  if (missing === undefined) {
    describe(title, tests);
    return;
  }
  const reason = `${needed.name} is not installed (no ${missing}): ${needed.how}`;
  if (process.env['CI'] === 'true') {
    describe(title, () => {
      it(`needs ${needed.name}`, () => {
        throw new Error(reason);
      });
    });
  } else {
    describe.skip(`${title}: skipped, ${reason}`, tests);
  }
}

/** Goes on only as root: else skips the test with the reason, `why` only root can do it, and in CI fails it. */
export function needRoot({ skip }: TestContext, why: string): void {
  if (process.getuid?.() === 0) return;
  const reason = `needs root: ${why}`;
  if (process.env['CI'] === 'true') throw new Error(reason);
  skip(reason);
}
