/**
 * @module The GUIDed table at the end of an OVMF image (edk2 OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.nasm.inc): entries are
 * `data | u16 length | GUID`, walked from the footer down. The 32 bytes after the footer are the reset vector.
 */
import { u16le } from '../bytes.ts';
import { type Guid, guidFromBytes } from '../guid.ts';
import type { FooterEntry } from './firmware.ts';
import { firmwareRefusal } from './refusal.ts';

/** Marks the end of the table, 48 bytes before the end of the image. */
export const FOOTER_GUID: Guid = '96b582de-1fb2-45f7-baea-a366c55a082d';

/** The entries that have a meaning here; `size` is the bytes of data each must have. */
export const FOOTER_ENTRIES = {
  hashArea: { guid: '7255371f-3a3b-4b04-927b-1da6efa8d454', size: 8, name: 'kernel hash table area' },
  secretArea: { guid: '4c2eb361-7d9b-4cc3-8081-127c90d3d294', size: 8, name: 'launch secret area' },
  resetBlock: { guid: '00f771de-1a7e-4fcb-890e-68c77e2fb44e', size: 4, name: 'SEV-ES reset block' },
  sevMetadata: { guid: 'dc886566-984a-4798-a75e-5585a7bf67cc', size: 4, name: 'SEV metadata' },
  tdxMetadata: { guid: 'e47a6535-984a-4798-865e-4685a7bf8ec2', size: 4, name: 'TDX metadata' },
  igvmMetadata: { guid: '784fa70e-3176-4677-8a20-04b68699e374', size: 4, name: 'IGVM metadata' },
  svsmInfo: { guid: 'a789a612-0597-4c4b-a49f-cbb1fe9d1ddd', size: 4, name: 'SVSM information' },
} as const satisfies Record<string, { guid: Guid; size: number; name: string }>;

/** The reset vector after the footer. */
const AFTER_FOOTER = 32;
const GUID_SIZE = 16;
/** Length and GUID: what an entry without data has. */
const ENTRY_TAIL = u16le.size + GUID_SIZE;

/**
 * Returns the entries in the order they are walked, which is from the end of the image down, without the footer itself; an
 * image without a footer has none. Throws `format` for a length that leaves the table, leftover bytes, or a GUID that comes twice.
 */
export function parseFooter(image: Uint8Array): FooterEntry[] {
  const tableEnd = image.length - AFTER_FOOTER;
  if (tableEnd < ENTRY_TAIL || guidFromBytes(image, tableEnd - GUID_SIZE) !== FOOTER_GUID) return [];
  const total = lengthBefore(image, tableEnd);
  if (total < ENTRY_TAIL || total > tableEnd) {
    throw firmwareRefusal(`firmware footer: its table of ${total} bytes does not fit in the image`);
  }
  return walk(image, tableEnd - total, tableEnd - ENTRY_TAIL);
}

/** Reads the length of the entry that ends at `end`. */
function lengthBefore(image: Uint8Array, end: number): number {
  return u16le.decode(image, end - ENTRY_TAIL, 'firmware footer');
}

function walk(image: Uint8Array, start: number, tableEnd: number): FooterEntry[] {
  const entries: FooterEntry[] = [];
  const seen = new Set<Guid>();
  let end = tableEnd;
  while (end > start) {
    if (end - start < ENTRY_TAIL) {
      throw firmwareRefusal(`firmware footer: ${end - start} bytes at ${start} are too few for an entry`);
    }
    const length = lengthBefore(image, end);
    const guid = guidFromBytes(image, end - GUID_SIZE);
    if (length < ENTRY_TAIL || length > end - start) {
      throw firmwareRefusal(`firmware footer: entry ${guid} has an impossible length of ${length} bytes`);
    }
    if (seen.has(guid)) throw firmwareRefusal(`firmware footer: entry ${guid} comes twice`);
    seen.add(guid);
    entries.push({ guid, data: image.slice(end - length, end - ENTRY_TAIL) });
    end -= length;
  }
  return entries;
}

/** Returns the data of one known entry, or undefined when the image does not have it; throws `format` when its size is wrong. */
export function footerData(
  footer: readonly FooterEntry[],
  kind: { readonly guid: Guid; readonly size: number; readonly name: string },
): Uint8Array | undefined {
  const data = footer.find((entry) => entry.guid === kind.guid)?.data;
  if (data !== undefined && data.length !== kind.size) {
    throw firmwareRefusal(`firmware footer: ${kind.name} has ${data.length} bytes of data instead of ${kind.size}`);
  }
  return data;
}
