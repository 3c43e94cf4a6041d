/** @module The process around `run`: bundled into dist/bootseal.cjs, which bin/bootseal.js starts. */
import { processIo } from './io.ts';
import { run } from './main.ts';

// A reader that closes the pipe early (`bootseal … | head -1`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 5));

void run(process.argv.slice(2), processIo()).then((status) => {
  process.exitCode = status;
});
