/** @module Where commands may write secrets. */
import { BootsealError } from '../core/errors.ts';

/** Returns the name of a file for secret bytes; throws `usage` for standard output, which ends up in logs. */
export function secretFile(name: string, option = '--out'): string {
  if (name !== '-') return name;
  throw new BootsealError('usage', 'secrets are not written to standard output', { hint: `give ${option} a file` });
}
