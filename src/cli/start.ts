/** @module The process around `run`: bundled into dist/bootseal.cjs, which bin/bootseal.js starts. */
import { processIo } from './io.ts';
import { run } from './main.ts';

export { run };

/** Runs the command line of this process and sets its exit status. */
export async function start(): Promise<void> {
  // A reader that closes the pipe early (`bootseal … | head -1`) is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 5));
  process.exitCode = await run(process.argv.slice(2), processIo());
}
