/**
 * @module The SMBIOS tables as OVMF measures them: without what differs between machines of one kind (edk2 MdeModulePkg/Universal/
 * SmbiosMeasurementDxe; structures and their fields: DMTF DSP0134 3.7, section 7).
 */
import { BootsealError } from '../errors.ts';

/** Offset in a structure and bytes; of one byte that is the number of a string, the string as well. */
type Cleared = readonly [at: number, size: number, kind?: 'string'];

/** By type of structure: what is cleared of it, or all but its header. */
const CLEARED: ReadonlyMap<number, readonly Cleared[] | 'all'> = new Map<number, readonly Cleared[] | 'all'>([
  // System: serial number, UUID, wake-up type.
  [
    1,
    [
      [0x07, 1, 'string'],
      [0x08, 16],
      [0x18, 1],
    ],
  ],
  // Baseboard: serial number, place in the chassis.
  [
    2,
    [
      [0x07, 1, 'string'],
      [0x0a, 1, 'string'],
    ],
  ],
  // Chassis: serial number, asset tag.
  [
    3,
    [
      [0x07, 1, 'string'],
      [0x08, 1, 'string'],
    ],
  ],
  // Processor: voltage, speed, serial number, asset tag, part number, numbers of cores and threads.
  [
    4,
    [
      [0x11, 1],
      [0x16, 2],
      [0x20, 1, 'string'],
      [0x21, 1, 'string'],
      [0x22, 1, 'string'],
      [0x23, 1],
      [0x24, 1],
      [0x25, 1],
      [0x2a, 2],
      [0x2c, 2],
      [0x2e, 2],
    ],
  ],
  [11, 'all'],
  [15, 'all'],
  // Memory device: serial number, asset tag, part number.
  [
    17,
    [
      [0x18, 1, 'string'],
      [0x19, 1, 'string'],
      [0x1a, 1, 'string'],
    ],
  ],
  [18, 'all'],
  // Battery: serial number, that of smart batteries and their date.
  [
    22,
    [
      [0x07, 1, 'string'],
      [0x10, 2],
      [0x12, 2],
    ],
  ],
  // System reset: count.
  [23, [[0x05, 2]]],
  // Cooling device: speed.
  [27, [[0x0c, 2]]],
  [31, 'all'],
  [33, 'all'],
  // Power supply: serial number, asset tag, part number.
  [
    39,
    [
      [0x08, 1, 'string'],
      [0x09, 1, 'string'],
      [0x0a, 1, 'string'],
    ],
  ],
]);

/** Types from here on are those of makers, and are cleared but for their header. */
const FIRST_OEM = 128;
const END_OF_TABLE = 127;
/** Type, length and handle. */
const HEADER_SIZE = 4;
const SPACE = 0x20;

/** Returns the bytes that are hashed; `table` is all structures with their end marker, as Linux shows them in DMI. Throws `format`. */
export function measuredSmbios(table: Uint8Array): Uint8Array {
  const out = new Uint8Array(table);
  let type: number | undefined;
  for (let at = 0; at < out.length; ) {
    if (type === END_OF_TABLE) throw refusal(`${out.length - at} bytes lie behind the end marker`);
    const structure = structureAt(out, at);
    type = structure.type;
    clear(structure);
    at += structure.bytes.length;
  }
  if (type !== END_OF_TABLE) throw refusal('there is no end marker (type 127)');
  return out;
}

interface Structure {
  readonly type: number;
  /** In place: with its strings and the zeros that end them. */
  readonly bytes: Uint8Array;
  /** Bytes without strings. */
  readonly length: number;
}

function structureAt(table: Uint8Array, at: number): Structure {
  const [type, length] = table.subarray(at, at + 2);
  if (type === undefined || length === undefined || length < HEADER_SIZE) {
    throw refusal(`no structure begins at byte ${at}`);
  }
  for (let end = at + length; end + 1 < table.length; end++) {
    if (table[end] === 0 && table[end + 1] === 0) return { type, bytes: table.subarray(at, end + 2), length };
  }
  throw refusal(`the structure at byte ${at} does not end`);
}

function clear(structure: Structure): void {
  const { type, bytes, length } = structure;
  const cleared = type >= FIRST_OEM ? 'all' : (CLEARED.get(type) ?? []);
  if (cleared === 'all') {
    bytes.fill(0, HEADER_SIZE);
    return;
  }
  for (const [at, size, kind] of cleared) {
    // Structures of older versions are shorter.
    if (at + size > length) continue;
    if (kind === 'string') stringOf(structure, bytes[at] ?? 0).fill(SPACE);
    bytes.fill(0, at, at + size);
  }
}

/** Returns string `number`, in place, without its zero; 0 means that there is none. Throws `format`. */
function stringOf({ type, bytes, length }: Structure, number: number): Uint8Array {
  if (number === 0) return bytes.subarray(0, 0);
  let at = length;
  for (let count = 1; ; count++) {
    const end = bytes.indexOf(0, at);
    if (end === at) throw refusal(`a structure of type ${type} names string ${number}, and has ${count - 1}`);
    if (count === number) return bytes.subarray(at, end);
    at = end + 1;
  }
}

function refusal(message: string): BootsealError {
  return new BootsealError('format', `SMBIOS tables: ${message}`, {
    hint: 'give the file /sys/firmware/dmi/tables/DMI of a guest, whole',
  });
}
