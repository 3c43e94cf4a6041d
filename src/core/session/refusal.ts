/** @module How the parsers of certificates refuse bytes. */
import { BootsealError } from '../errors.ts';

/** Returns the `format` error for a certificate, called `name`, whose bytes are not what they should be. */
export function certificateRefusal(name: string, reason: string): BootsealError {
  return new BootsealError('format', `${name}: ${reason}`, {
    hint: "export the platform's certificates again (`sevctl export`, `sevtool --export_cert_chain`), and take AMD's own from its key server",
  });
}
