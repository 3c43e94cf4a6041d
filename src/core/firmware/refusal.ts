/** @module How the parsers of a firmware image refuse bytes. */
import { BootsealError } from '../errors.ts';

/** Returns the `format` error for an image whose bytes are not what `message` says they should be. */
export function firmwareRefusal(message: string): BootsealError {
  return new BootsealError('format', message, {
    hint: 'take the image again from where it was made, or build OvmfPkg/AmdSev/AmdSevX64.dsc',
  });
}
