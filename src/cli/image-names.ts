/** @module The files that a new disk is made of, none of which may be another or the source. */
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { NewPart } from '../host/part-file.ts';
import { type Io, resolvePath } from './io.ts';
import { checkOutputs, outputFile } from './outputs.ts';

/** Options that name files. */
export interface NameOptions {
  readonly from: string;
  readonly out: string;
  readonly keyFile?: string;
  readonly newKey?: string;
  readonly recoveryKeyFile?: readonly string[];
  readonly detachedHeader?: string;
  readonly esp?: string;
  readonly force?: boolean;
}

/** Where everything goes. */
export interface ImageNames {
  readonly image: NewPart;
  readonly header: NewPart | undefined;
  readonly manifest: NewPart;
  readonly newKey: NewPart | undefined;
  baseName(file: string): string;
}

/** Returns the files; throws `usage` when two of them are the same, when one is read as well, and for `-`. */
export async function imageNames(io: Io, options: NameOptions): Promise<ImageNames> {
  const { out, detachedHeader, newKey, force: replace = false } = options;
  for (const [option, file] of Object.entries({
    '--out': out,
    '--detached-header': detachedHeader,
    '--new-key': newKey,
  })) {
    if (file !== undefined) outputFile(option, file);
  }
  const part = (file: string, mode: number): NewPart => ({ file: resolvePath(io, file), mode, replace });
  const manifest = `${out}.json`;
  const read = [options.from, options.keyFile, ...(options.recoveryKeyFile ?? [])];
  await checkOutputs(io, [newKey, manifest, detachedHeader, out], [...read, options.esp]);
  checkDistinct(read.filter((file) => file !== undefined && file !== '-').map((file) => resolvePath(io, file ?? '')));
  return {
    image: part(out, 0o644),
    header: detachedHeader === undefined ? undefined : part(detachedHeader, 0o644),
    manifest: part(manifest, 0o644),
    // Never replaced: it may be all that opens another disk.
    newKey: newKey === undefined ? undefined : { ...part(newKey, 0o600), replace: false },
    baseName: (file) => path.basename(file),
  };
}

function checkDistinct(files: readonly string[]): void {
  const twice = files.find((file, i) => files.indexOf(file) !== i);
  if (twice !== undefined) {
    throw new BootsealError('usage', `${twice} is named twice: each file needs a name of its own`, {
      hint: 'give one of them another name',
    });
  }
}
