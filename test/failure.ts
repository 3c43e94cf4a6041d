/** @module How a call fails, as plain data to compare with. */
import { expect } from 'vitest';
import { BootsealError, type ErrorKind } from '../src/core/errors.ts';

/** Stands for a hint, whatever it says. */
export const HINT: unknown = expect.stringMatching(/\S/);

/** Returns what the BootsealError thrown by `call` says; any other outcome fails the test. */
export function failure(call: () => unknown): {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint: string;
} {
  let value: unknown;
  try {
    value = call();
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return { kind: error.kind, message: error.message, hint: error.hint };
  }
  throw new Error(`expected a failure, got ${String(value)}`);
}

/** Returns `error` when it is a BootsealError that says what to try; any other fails the test. */
export function hinted(error: unknown): BootsealError {
  if (!(error instanceof BootsealError)) throw error;
  expect(error, error.message).toMatchObject({ hint: HINT });
  return error;
}

/** Runs `call`; passes whether it returns or throws a BootsealError with a hint, and lets everything else through to fail the test. */
export function typedOrValue<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    hinted(error);
    return undefined;
  }
}
