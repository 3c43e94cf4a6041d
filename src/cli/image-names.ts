/** @module The files that a new disk is made of, none of which may be another or the source. */
import type { FileHandle } from 'node:fs/promises';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { NewPart } from '../host/part-file.ts';
import { type Io, resolvePath } from './io.ts';

/** Options that name files. */
export interface NameOptions {
  readonly from: string;
  readonly out: string;
  readonly keyFile?: string;
  readonly newKey?: string;
  readonly recoveryKeyFile?: readonly string[];
  readonly detachedHeader?: string;
  readonly force?: boolean;
}

/** Where everything goes. */
export interface ImageNames {
  readonly image: NewPart;
  readonly header: NewPart | undefined;
  readonly manifest: NewPart;
  readonly newKey: NewPart | undefined;
  /** Throws `usage` when one of them is the open source under another name. */
  checkSource(source: FileHandle): Promise<void>;
  baseName(file: string): string;
}

/** Returns the files; throws `usage` when two of them are the same, and when one is read as well. */
export function imageNames(io: Io, options: NameOptions): ImageNames {
  const { out, detachedHeader, newKey, force: replace = false } = options;
  const part = (file: string, mode: number): NewPart => ({ file: resolvePath(io, file), mode, replace });
  const image = part(out, 0o644);
  const manifest = part(`${out}.json`, 0o644);
  const header = detachedHeader === undefined ? undefined : part(detachedHeader, 0o644);
  // Never replaced: it may be all that opens another disk.
  const key = newKey === undefined ? undefined : { ...part(newKey, 0o600), replace: false };
  const written = [key, manifest, header, image].filter((file) => file !== undefined).map(({ file }) => file);
  const given = [options.from, options.keyFile, ...(options.recoveryKeyFile ?? [])].filter(
    (file) => file !== undefined && file !== '-',
  );
  checkDistinct([...written, ...given.map((file) => resolvePath(io, file ?? ''))]);
  return {
    image,
    header,
    manifest,
    newKey: key,
    checkSource: (source) => checkSource(source, written),
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

async function checkSource(source: FileHandle, written: readonly string[]): Promise<void> {
  const { dev, ino } = await source.stat();
  for (const file of written) {
    const found = await fs.stat(file).catch(() => undefined);
    if (found?.dev === dev && found.ino === ino) {
      throw new BootsealError('usage', `${file} is the file that is read: choose another name for the disk`, {
        hint: 'give --out another name',
      });
    }
  }
}
