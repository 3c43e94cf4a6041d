/** @module Secrets in an area of bytes, that is in memory or in a file: read and erased as Linux's driver does it. */
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { readGuestTable } from '../core/guest/table.ts';
import { readHead, TABLE_HEADER_GUID, TableHead } from '../core/secret/table.ts';
import { type SecretSource, SHOWN_BY_LIST, STILL_THERE } from './source.ts';

/** Bytes that can be read and zeroed in place. */
export interface Bytes {
  readonly size: number;
  read(at: number, size: number): Promise<Uint8Array>;
  zero(at: number, size: number): Promise<void>;
}

/** Bytes of the GUID that a head begins with. */
const GUID_SIZE = 16;

/** Returns an area as a source. */
export function areaSource(kind: 'memory' | 'file', place: string, bytes: Bytes): SecretSource {
  /** Reads the table and nothing behind it: every read may cost a process. */
  async function readTable(): Promise<Uint8Array> {
    const area = new Uint8Array(bytes.size);
    const start = await bytes.read(0, Math.min(TableHead.size, bytes.size));
    area.set(start);
    if (start.length < TableHead.size) return area.subarray(0, start.length);
    const { guid, length } = readHead(start, 0);
    if (guid === TABLE_HEADER_GUID && length > start.length) {
      area.set(await bytes.read(start.length, Math.min(length, bytes.size) - start.length), start.length);
    }
    return area;
  }

  async function zero(at: number, size: number, what: string): Promise<void> {
    await bytes.zero(at, size);
    const after = await bytes.read(at, size);
    if (after.length === size && after.every((byte) => byte === 0)) return;
    wipe(after);
    throw new BootsealError('io', `${what} is still there after it was erased`, { hint: STILL_THERE });
  }

  return {
    kind,
    place,
    async read() {
      const area = await readTable();
      const table = readGuestTable(area);
      wipe(area);
      return { entries: table.shown, table };
    },
    async erase(guid) {
      const area = await readTable();
      const { readable } = readGuestTable(area);
      wipe(area, ...readable.map(({ value }) => value));
      const entries = readable.filter((entry) => entry.guid === guid);
      if (entries.length === 0)
        throw new BootsealError('io', `cannot erase ${guid}: there is no such secret at ${place}`, {
          hint: SHOWN_BY_LIST,
        });
      for (const { at, value } of entries) {
        // The value before its name: what is interrupted can be found and erased again. The length stays, as with the driver.
        await zero(at + TableHead.size, value.length, `the secret ${guid} at ${place}`);
        await zero(at, GUID_SIZE, `the name of the secret ${guid} at ${place}`);
      }
    },
    async eraseAll() {
      const area = await readTable();
      const { readable } = readGuestTable(area);
      wipe(area, ...readable.map(({ value }) => value));
      await zero(0, bytes.size, `the secret area at ${place}`);
      return readable.length;
    },
  };
}
