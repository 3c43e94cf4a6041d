/** @module The process around `run`: bundled into dist/bootseal.cjs, which bin/bootseal.js starts. */
import { ioError } from '../host/io-error.ts';
import { processIo } from './io.ts';
import { report, run } from './main.ts';
import { standardStream } from './standard-stream.ts';
import { STATUS, STATUS_BUG } from './status.ts';

export { run };

/**
 * Runs the command line of this process and sets its exit status, which is that of the command: a reader that goes away early
 * (`bootseal … | head -1`) or a full disk under standard error changes no verdict. Only a result that could not be written
 * makes a success an `io` failure.
 */
export async function start(): Promise<void> {
  let lost: NodeJS.ErrnoException | undefined;
  const stderr = standardStream(2);
  const stdout = standardStream(1, (error) => {
    if (error.code === 'EPIPE' || lost !== undefined) return;
    lost = error;
    report(ioError(error, 'the result', 'write'), process.argv.includes('--json'), processIo(stdout, stderr));
    process.exitCode ||= STATUS.io;
  });
  // Node ignores it, so that a write fails with EFBIG; execa's watch over a child would give it back to the system, which ends the process.
  process.on('SIGXFSZ', () => undefined);
  // Node's own status for these is 1, which here means a mismatch.
  process.on('uncaughtException', (error) => {
    stderr.write(`bootseal: bug: ${error.stack ?? error.message}\n`);
    process.exit(STATUS_BUG);
  });
  const status = await run(process.argv.slice(2), processIo(stdout, stderr));
  process.exitCode = status === 0 && lost !== undefined ? STATUS.io : status;
}
