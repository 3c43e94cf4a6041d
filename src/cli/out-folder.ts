/** @module The folder that a command writes, which must not be one that it reads from. */
import { BootsealError } from '../core/errors.ts';
import { liesIn } from '../host/new-folder.ts';
import { type Io, resolvePath } from './io.ts';

/**
 * Returns `--out` as an absolute path; throws `usage` for `-`, and when the folder is the current one or above it, or holds one
 * of `inputs`, by option: undefined, `-` and what does not exist are none.
 */
export async function outFolder(
  io: Io,
  out: string,
  inputs: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (out === '-') {
    throw new BootsealError('usage', '--out names a new folder, and - would be standard output', {
      hint: 'several files are made: give the folder a name, such as --out launch',
    });
  }
  const folder = resolvePath(io, out);
  for (const [option, file] of Object.entries({ ...inputs, '': io.cwd })) {
    if (file === undefined || file === '-' || !(await liesIn(folder, resolvePath(io, file)))) continue;
    const what = option === '' ? 'the current folder' : `${file}, which ${option} reads`;
    throw new BootsealError('usage', `--out ${out} holds ${what}`, { hint: 'give the result a folder of its own' });
  }
  return folder;
}
