/** @module A folder of this machine as an archive that GNU tar makes of it: owners, attributes, hard links and devices as they are. */
import { streamSource } from '../../core/archive/source.ts';
import { BootsealError } from '../../core/errors.ts';
import { FailedProgram, startProgram } from '../program.ts';
import type { TarFile } from './tar-file.ts';

const TAR = { name: 'tar', package: 'tar' };

const ARGS = [
  ...['--create', '--file=-', '--format=posix', '--sort=name', '--numeric-owner', '--xattrs', '--xattrs-include=*'],
  '--pax-option=delete=atime,delete=ctime',
];

/**
 * Returns the files below `folder`, read as the user may read them.
 *
 * @param onRemark told what tar says without failing, such as which sockets it leaves out; each line once
 */
export function tarOfFolder(folder: string, onRemark: (line: string) => void, stop: AbortSignal | undefined): TarFile {
  const said = new Set<string>();
  return {
    name: folder,
    async open() {
      const child = startProgram(TAR, { args: [...ARGS, '--directory', folder, '.'], stop });
      return {
        source: streamSource(child.stdout),
        async finish() {
          const { stderr } = await child.ended.catch((cause: unknown) => Promise.reject(unreadable(folder, cause)));
          for (const line of stderr.split('\n')) {
            const text = line.replace(/^tar: /, '');
            if (text === '' || said.has(text)) continue;
            said.add(text);
            onRemark(text);
          }
        },
        async close() {
          child.kill();
        },
      };
    },
  };
}

/** A file that cannot be read, or that changes meanwhile. */
function unreadable(folder: string, cause: unknown): unknown {
  if (!(cause instanceof FailedProgram)) return cause;
  return new BootsealError('io', `cannot read ${folder}: ${cause.message}`, {
    hint: 'all files must be readable and stay as they are',
  });
}
