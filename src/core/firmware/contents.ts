/** @module Walks everything inside a firmware image: volumes, their files and sections, and what is compressed in them. */
import { BootsealError } from '../errors.ts';
import type { Guid } from '../guid.ts';
import { Budget } from './budget.ts';
import { FILE_TYPE, isSectioned, walkFiles } from './ffs.ts';
import { decodeLzma } from './lzma.ts';
import { firmwareRefusal } from './refusal.ts';
import { guidDefined, SECTION_TYPE, type Section, storedContent, walkSections } from './section.ts';
import { FILE_SYSTEM, findVolumes, readVolume, type Volume } from './volume.ts';

/** The GUID of a section that holds LZMA (edk2 MdeModulePkg/Include/Guid/LzmaDecompress.h). */
export const LZMA_GUID: Guid = 'ee4e5898-3914-4259-9d6e-dc7bd79403cf';

/** What is told about an image while it is walked. */
export interface Visitor {
  /** A volume, those inside other volumes too. */
  volume?(volume: Volume): void;
  /** A file that is not padding, before its sections. */
  file?(name: Guid, type: number): void;
  /** A section that holds no others. */
  leaf?(name: Guid, section: Section): void;
  /** Bytes in which everything plain lies: the image first, then each piece that was decompressed. */
  plain?(bytes: Uint8Array): void;
}

/** Volumes in sections in volumes: real images have three. */
const MAX_DEPTH = 12;

/**
 * Walks an image from its start. Throws `format` for a volume, file or section that is not sound, for compression that is not
 * read here, for more work than a `Budget` has, and for an image without any volume.
 */
export function walkFirmware(image: Uint8Array, visitor: Visitor): void {
  const walk = new Walk(visitor);
  const volumes = findVolumes(image);
  if (volumes.length === 0) {
    throw new BootsealError('format', 'firmware: there is no firmware volume in it', {
      hint: 'give the full image, not its last pages, and one that edk2 built',
    });
  }
  visitor.plain?.(image);
  for (const volume of volumes) walk.volume(volume, `firmware volume at ${volume.at}`, 0);
}

class Walk {
  readonly #visitor: Visitor;
  readonly #budget = new Budget();

  constructor(visitor: Visitor) {
    this.#visitor = visitor;
  }

  volume(volume: Volume, where: string, depth: number): void {
    this.#budget.spend('parts', 1, where);
    this.#visitor.volume?.(volume);
    if (volume.fileSystem !== FILE_SYSTEM.ffs2 && volume.fileSystem !== FILE_SYSTEM.ffs3) return;
    walkFiles(volume, where, (file) => {
      this.#budget.spend('parts', 1, where);
      if (file.type === FILE_TYPE.pad) return;
      this.#visitor.file?.(file.name, file.type);
      if (isSectioned(file.type)) this.#sections(file.body, `${where}, file ${file.name}`, file.name, depth + 1);
    });
  }

  #sections(stream: Uint8Array, where: string, name: Guid, depth: number): void {
    if (depth > MAX_DEPTH) throw firmwareRefusal(`${where}: nested too deeply`);
    walkSections(stream, where, (section) => {
      this.#budget.spend('parts', 1, where);
      if (section.type === SECTION_TYPE.volumeImage) this.volume(readVolume(section.body, 0, where), where, depth + 1);
      else if (section.type === SECTION_TYPE.disposable) this.#sections(section.body, where, name, depth + 1);
      else if (section.type === SECTION_TYPE.compression) {
        const content = storedContent(section, where);
        if (content === undefined) throw unreadable(where, 'the compression of the PI specification');
        this.#sections(content, where, name, depth + 1);
      } else if (section.type === SECTION_TYPE.guidDefined) {
        this.#sections(this.#process(section, where), where, name, depth + 1);
      } else this.#visitor.leaf?.(name, section);
    });
  }

  #process(section: Section, where: string): Uint8Array {
    const { guid, needsProcessing, data } = guidDefined(section, where);
    if (guid !== LZMA_GUID) {
      if (needsProcessing) throw unreadable(where, `the encoding ${guid}`);
      return data;
    }
    const content = decodeLzma(data, this.#budget);
    this.#visitor.plain?.(content);
    return content;
  }
}

function unreadable(where: string, what: string): BootsealError {
  return new BootsealError('format', `${where}: ${what} is not read here`, {
    hint: 'what is inside cannot be judged; use a build that compresses with LZMA as OVMF does',
  });
}
