/**
 * @module Tests that need a program of somebody else: without it they are skipped with the reason on a person's machine, and
 * fail in CI (`CI=true`), where a skipped proof would go unseen.
 */
import * as fs from 'node:fs';
import { describe, it } from 'vitest';

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
