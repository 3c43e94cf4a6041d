/** @module Tar archives on this machine, which are read twice: once for what is in them, and once for the contents. */
import type { Packing } from '../../core/archive/packing.ts';
import { diskSource, type Source, streamSource } from '../../core/archive/source.ts';
import { fileDisk } from '../disk.ts';
import { type Region, readRegion, unpack } from './stream.ts';

/** An archive that can be read from its start any number of times. */
export interface TarFile {
  /** For messages. */
  readonly name: string;
  open(): Promise<OpenTar>;
}

/** An archive that is being read. */
export interface OpenTar {
  readonly source: Source;
  /** Called when the end of the archive was reached; throws when what was read was not right. */
  finish(): Promise<void>;
  /** Called in any case. */
  close(): Promise<void>;
}

/** Returns the archive in a part of a file. */
export function tarInRegion(region: Region, packing: Packing, stop: AbortSignal | undefined): TarFile {
  const { name, handle, at, size } = region;
  return {
    name,
    async open() {
      // Without packing, contents that are not wanted need not be read.
      if (packing === 'none') return plainTar(diskSource(fileDisk(handle, name, at, size), 0));
      const pieces = unpack(readRegion(region), packing, name, stop);
      return { ...plainTar(streamSource(pieces)), close: async () => void (await pieces.return(undefined)) };
    },
  };
}

const plainTar = (source: Source): OpenTar => ({ source, async finish() {}, async close() {} });
