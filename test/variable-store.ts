/** @module Variable stores for tests, written from edk2 MdeModulePkg/Include/Guid/VariableFormat.h. */
import { guidToBytes } from '../src/core/guid.ts';
import { join, pad, u16, u32, VARIABLES, volume } from './firmware-image.ts';

export const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
export const DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';
export const AUTHENTICATED = 'aaf32c78-947b-439a-a180-2e144ec37792';
export const PLAIN = 'ddcf3616-3275-4164-98b6-fe85707ffe7d';

export interface Entry {
  readonly vendor?: string;
  readonly name: string;
  readonly data?: Uint8Array;
  /** 0x3f: in force. */
  readonly state?: number;
}

/** One variable, as it lies in a store of this format. */
export function entry({ vendor = GLOBAL, name, data = Uint8Array.of(1), state = 0x3f }: Entry, format = AUTHENTICATED) {
  const utf16 = Buffer.from(`${name}\0`, 'utf16le');
  const times = format === AUTHENTICATED ? new Uint8Array(28).fill(0x55) : new Uint8Array();
  const head = join(u16(0x55aa), Uint8Array.of(state, 0), u32(7), times, u32(utf16.length), u32(data.length));
  return pad(join(head, guidToBytes(vendor), utf16, data), 4, 0xff);
}

/** A volume of 8 KiB with these variables. */
export function variableStore(
  entries: readonly Entry[],
  { format = AUTHENTICATED, state = 0xfe, bytes = 8192 - 72 } = {},
): Uint8Array {
  const head = join(guidToBytes(format), u32(bytes), Uint8Array.of(0x5a, state), new Uint8Array(6));
  return volume([join(head, ...entries.map((one) => entry(one, format)))], { fileSystem: VARIABLES, size: 8192 });
}
