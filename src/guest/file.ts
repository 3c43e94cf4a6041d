/** @module A secret table in a file, for tests and for looking at what an initrd has copied. */
import * as fs from 'node:fs/promises';
import { BootsealError } from '../core/errors.ts';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import { ioError } from '../host/io-error.ts';
import { areaSource } from './area.ts';
import type { SecretSource } from './source.ts';

const COPY = 'give a file that holds a secret table, such as a copy of the secret area';

/** Returns a file as a source. Throws `io`, `format` when it is larger than any table. */
export async function fileSource(file: string): Promise<SecretSource> {
  const stat = await fs.stat(file).catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
  if (!stat.isFile()) throw new BootsealError('io', `cannot read ${file}: no regular file`, { hint: COPY });
  if (stat.size > MAX_PAYLOAD)
    throw new BootsealError('format', `${file} is larger than any secret area: ${stat.size} bytes`, { hint: COPY });
  return areaSource('file', file, {
    size: stat.size,
    async read(at, size) {
      const all = await fs.readFile(file).catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
      const part = new Uint8Array(all.subarray(at, at + size));
      all.fill(0);
      return part;
    },
    async zero(at, size) {
      try {
        const handle = await fs.open(file, 'r+');
        try {
          await handle.write(new Uint8Array(size), 0, size, at);
          await handle.sync();
        } finally {
          await handle.close();
        }
      } catch (cause) {
        throw ioError(cause, file, 'erase in');
      }
    },
  });
}
