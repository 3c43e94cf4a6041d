/** @module The option that names a bootseal-devmem. */
import { Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { isElf } from '../host/initrd/elf.ts';
import { type Io, resolvePath } from './io.ts';

/** Returns the option `--devmem`. */
export function devmemOption(): Option {
  return new Option(
    '--devmem <file>',
    'put this bootseal-devmem beside the script, where there is no busybox with devmem (templates/guest/devmem.c says how to build it)',
  );
}

/** Returns the file as an absolute path, or undefined for none; throws `usage` when it is no program. */
export async function devmemFile(io: Io, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const from = resolvePath(io, file);
  if (await isElf(from)) return from;
  throw new BootsealError('usage', `--devmem: ${file} is no program`, {
    hint: 'build it with the command at the head of templates/guest/devmem.c',
  });
}
