/** @module What `image build` says of the encrypted disk that it made. */
import type { Manifest } from '../core/luks/manifest.ts';
import { type ImageKeyslot, keyslotLines } from './image-keyslots.ts';
import { TEST_ONLY } from './image-seed.ts';
import { shapeLines } from './image-shape.ts';
import { type Io, printableLines, printResult } from './io.ts';

/** The options whose names of files are repeated, and in which form. */
export interface ReportedOptions {
  readonly out: string;
  readonly newKey?: string;
  readonly detachedHeader?: string;
  readonly json?: boolean;
}

/** Prints what was built. */
export function report(io: Io, options: ReportedOptions, manifest: Manifest, keys: readonly ImageKeyslot[]): void {
  if (options.json === true) {
    printResult(io, `${JSON.stringify(manifest)}\n`);
    return;
  }
  const { data, header, luks, payload } = manifest;
  const filler = data.bytes - payload.bytes;
  const only = keys.length === 1 ? ', nothing else opens the disk' : '';
  const lines = [
    ['disk', `${options.out}, ${manifest.imageBytes} bytes, LUKS${luks.version} ${luks.uuid}`],
    ...shapeLines(manifest),
    ['data', `${data.bytes} bytes at ${data.offset}: ${payload.what ?? 'unknown content'}`],
    ...(filler === 0 ? [] : [['', `the last ${filler} of them are zeros that fill the last sector`]]),
    ...(data.everySector
      ? []
      : [['', `${data.skippedBytes} of them are free blocks that were left out: the host sees which`]]),
    ['cipher', `${data.cipher}, key of ${data.keyBits} bits, sectors of ${data.sectorSize} bytes`],
    ...(data.integrity === null
      ? []
      : [['integrity', `${data.integrity}: the guest gets an error for each sector that was changed`]]),
    ...keyslotLines(keys),
    ...(options.newKey === undefined ? [] : [['key', `${options.newKey}: keep it${only}`]]),
    ['header', `${options.detachedHeader ?? 'in the disk'}, sha256 ${header.sha256}`],
    ['manifest', `${options.out}.json`],
    ...(manifest.testOnly ? [['TEST ONLY', TEST_ONLY]] : []),
  ];
  printResult(io, printableLines(lines.map(([name = '', text]) => `${name.padEnd(10)}${text}`)));
}
