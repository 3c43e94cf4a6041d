/** @module Boot options (UEFI 2.10, 3.1.3, EFI_LOAD_OPTION): the one that OVMF makes by itself starts its own menu. */
import { bytes, concat, layout, u8, u16le, u32le } from '../bytes.ts';
import { type Guid, guidToBytes } from '../guid.ts';
import { utf16 } from './efi-variable.ts';

/** UEFI 2.10, 3.1.3: active, hidden, an application. */
const ATTRIBUTES = 0x1 | 0x8 | 0x100;

/** The volume of OVMF's drivers, and the menu in it (edk2 OvmfPkg/OvmfPkgX64.fdf; MdeModulePkg/Application/UiApp/UiApp.inf). */
const DXE_VOLUME: Guid = '7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1';

/** The name of UiApp's file in the firmware. */
export const UI_APP: Guid = '462caa21-7614-4503-836e-8ab6f4662331';

const Head = layout('EFI_LOAD_OPTION', { attributes: u32le, filePathListLength: u16le });

const PathHead = { type: u8, subType: u8, length: u16le } as const;
const NameNode = layout('device path node', { ...PathHead, name: bytes(16) });
const EndNode = layout('device path node', PathHead);

/** PI specification 1.8, volume 2, 8.2 and 8.3: media of a firmware volume, and a file in it; UEFI 2.10, table 10.2. */
const NODE = { file: [4, 6], volume: [4, 7], end: [0x7f, 0xff] } as const;

/** Returns the boot option for UiApp, as every build of OVMF makes it. */
export function uiAppOption(): Uint8Array {
  const path = concat(namedNode(NODE.volume, DXE_VOLUME), namedNode(NODE.file, UI_APP), endNode());
  const head = Head.pack({ attributes: ATTRIBUTES, filePathListLength: path.length });
  return concat(head, utf16('UiApp\0'), path);
}

function namedNode([type, subType]: readonly [number, number], guid: Guid): Uint8Array {
  return NameNode.pack({ type, subType, length: NameNode.size, name: guidToBytes(guid) });
}

function endNode(): Uint8Array {
  const [type, subType] = NODE.end;
  return EndNode.pack({ type, subType, length: EndNode.size });
}
