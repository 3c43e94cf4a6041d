/** @module The sections of a firmware file (UEFI PI specification 1.8, volume 3, section 3.2.4). */
import { bytes, layout, reserved, u8, u16le, u32le } from '../bytes.ts';
import { type Guid, guidFromBytes } from '../guid.ts';
import { u24 } from './ffs.ts';
import { firmwareRefusal } from './refusal.ts';
import { alignUp } from './volume.ts';

/** The section types that have a meaning here. */
export const SECTION_TYPE = {
  compression: 0x01,
  guidDefined: 0x02,
  disposable: 0x03,
  pe32: 0x10,
  te: 0x12,
  volumeImage: 0x17,
} as const;

/** One section. */
export interface Section {
  readonly type: number;
  /** What follows the common header, a view. */
  readonly body: Uint8Array;
  /** The common header's size, since the offset inside a GUID-defined section counts from its start. */
  readonly headerSize: number;
}

/** What a GUID-defined section says about its content. */
export interface GuidDefined {
  readonly guid: Guid;
  /** The content is unusable without the processing that `guid` names. */
  readonly needsProcessing: boolean;
  readonly data: Uint8Array;
}

const Header = layout('section', { size: bytes(3), type: u8 });
const ExtendedHeader = layout('section', { header: reserved(Header.size), size: u32le });
const GuidDefinedHeader = layout('GUID-defined section', { guid: bytes(16), dataOffset: u16le, attributes: u16le });
const CompressionHeader = layout('compression section', { uncompressedSize: reserved(4), type: u8 });

const EXTENDED = 0xffffff;
const PROCESSING_REQUIRED = 0x01;

/** Calls `take` with every section of `stream` in order. Throws `format`, naming `where`, for an impossible size. */
export function walkSections(stream: Uint8Array, where: string, take: (section: Section) => void): void {
  let at = 0;
  while (stream.length - at >= Header.size) {
    const room = stream.length - at;
    const short = u24(stream, at);
    const extended = short === EXTENDED && room >= ExtendedHeader.size;
    const headerSize = extended ? ExtendedHeader.size : Header.size;
    const size = extended ? ExtendedHeader.unpack(stream, at).size : short;
    if (size < headerSize || size > room) {
      throw firmwareRefusal(`${where}: the section at ${at} has an impossible size of ${size} bytes`);
    }
    take({ type: stream[at + 3] ?? 0, body: stream.subarray(at + headerSize, at + size), headerSize });
    at = alignUp(at + size, 4);
  }
}

/** Reads a GUID-defined section; throws `format`, naming `where`, when its content does not lie inside. */
export function guidDefined(section: Section, where: string): GuidDefined {
  const header = section.body.length < GuidDefinedHeader.size ? undefined : GuidDefinedHeader.unpack(section.body);
  const start = (header?.dataOffset ?? 0) - section.headerSize;
  if (header === undefined || start < GuidDefinedHeader.size || start > section.body.length) {
    throw firmwareRefusal(`${where}: a GUID-defined section has no room for its content`);
  }
  return {
    guid: guidFromBytes(header.guid),
    needsProcessing: (header.attributes & PROCESSING_REQUIRED) !== 0,
    data: section.body.subarray(start),
  };
}

/** Returns the content of a compression section that is stored without compression, undefined when it is compressed. */
export function storedContent(section: Section, where: string): Uint8Array | undefined {
  if (section.body.length < CompressionHeader.size) {
    throw firmwareRefusal(`${where}: a compression section has no header`);
  }
  return CompressionHeader.unpack(section.body).type === 0 ? section.body.subarray(CompressionHeader.size) : undefined;
}
