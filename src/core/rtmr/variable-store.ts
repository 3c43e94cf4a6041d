/**
 * @module The variables that a firmware image brings along, in its variable store (edk2
 * MdeModulePkg/Include/Guid/VariableFormat.h): the Secure Boot keys that are enrolled in it.
 */
import { bytes, layout, reserved, u8, u16le, u32le } from '../bytes.ts';
import { firmwareRefusal } from '../firmware/refusal.ts';
import { FILE_SYSTEM, readVolume } from '../firmware/volume.ts';
import { type Guid, guidFromBytes } from '../guid.ts';
import type { EfiVariable } from './efi-variable.ts';

const Store = layout('variable store', { signature: bytes(16), size: u32le, format: u8, state: u8, rest: reserved(6) });

const Start = { startId: u16le, state: u8, reserved: reserved(1), attributes: u32le } as const;
const Sizes = { nameSize: u32le, dataSize: u32le, vendor: bytes(16) } as const;
const Variable = layout('variable', { ...Start, ...Sizes });
const AuthenticatedVariable = layout('variable', { ...Start, times: reserved(28), ...Sizes });

/** What a store holds, by its signature. */
const FORMATS: ReadonlyMap<Guid, typeof Variable | typeof AuthenticatedVariable> = new Map<
  Guid,
  typeof Variable | typeof AuthenticatedVariable
>([
  ['ddcf3616-3275-4164-98b6-fe85707ffe7d', Variable],
  ['aaf32c78-947b-439a-a180-2e144ec37792', AuthenticatedVariable],
]);

const FORMATTED = 0x5a;
const HEALTHY = 0xfe;
const START_ID = 0x55aa;
const ALIGNMENT = 4;

/** Bits are cleared as a variable lives: written, about to be replaced, replaced. */
const STATE = { added: 0x3f, inTransition: 0x3e } as const;

/** Sizes of a variable that was never finished. */
const UNWRITTEN = 0xffff_ffff;

/** Returns the variables that are in force in the contents of a CFV section; throws `format` for what is no variable store. */
export function storedVariables(cfv: Uint8Array): readonly EfiVariable[] {
  const where = 'variable store';
  const volume = readVolume(cfv, 0, where);
  if (volume.fileSystem !== FILE_SYSTEM.variables)
    throw firmwareRefusal(`${where}: the volume holds ${volume.fileSystem}`);
  const { signature, size, format, state } = Store.unpack(volume.content, volume.filesAt);
  const Entry = FORMATS.get(guidFromBytes(signature));
  if (Entry === undefined || format !== FORMATTED || state !== HEALTHY)
    throw firmwareRefusal(`${where}: not formatted`);
  if (size < Store.size || size > volume.content.length - volume.filesAt)
    throw firmwareRefusal(`${where}: does not fit`);
  const store = volume.content.subarray(volume.filesAt, volume.filesAt + size);
  const live = new Map<string, EfiVariable>();
  let at = Store.size;
  while (at + Entry.size <= store.length) {
    const head = Entry.unpack(store, at);
    if (head.startId !== START_ID) break;
    const nameAt = at + Entry.size;
    const [nameSize, dataSize] = [written(head.nameSize), written(head.dataSize)];
    if (nameSize + dataSize > store.length - nameAt)
      throw firmwareRefusal(`${where}: the variable at ${at} does not fit`);
    const vendor = guidFromBytes(head.vendor);
    const name = nameIn(store.subarray(nameAt, nameAt + nameSize));
    const data = new Uint8Array(store.subarray(nameAt + nameSize, nameAt + nameSize + dataSize));
    const key = `${vendor} ${name}`;
    if (head.state === STATE.added || (head.state === STATE.inTransition && !live.has(key))) {
      live.set(key, { vendor, name, data });
    }
    at = alignUp(nameAt + nameSize + dataSize);
  }
  return [...live.values()];
}

const written = (size: number) => (size === UNWRITTEN ? 0 : size);
const alignUp = (at: number) => Math.ceil(at / ALIGNMENT) * ALIGNMENT;

function nameIn(stored: Uint8Array): string {
  let name = '';
  for (let at = 0; at + u16le.size <= stored.length; at += u16le.size) {
    const unit = u16le.decode(stored, at, 'variable name');
    if (unit === 0) break;
    name += String.fromCharCode(unit);
  }
  return name;
}
