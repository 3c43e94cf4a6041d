/** @module How the parser of an IGVM file refuses bytes. */
import { BootsealError } from '../errors.ts';

/** Returns the `format` error for a file whose bytes are not what `message` says they should be. */
export function igvmRefusal(message: string): BootsealError {
  return new BootsealError('format', `IGVM: ${message}`, {
    hint: 'take the file again from where it was built; igvmbuilder of COCONUT SVSM and igvmfilegen of OpenVMM make such files',
  });
}

/** Returns a number as messages have it. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
