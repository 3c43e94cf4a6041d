/** @module How a call fails, as plain data to compare with. */
import { BootsealError, type ErrorKind } from '../src/core/errors.ts';

/** Returns what the BootsealError thrown by `call` says; any other outcome fails the test. */
export function failure(call: () => unknown): {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint: string | undefined;
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

/** Runs `call`; passes whether it returns or throws a BootsealError, and lets everything else through to fail the test. */
export function typedOrValue<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return undefined;
  }
}
