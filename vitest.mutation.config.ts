// What a mutant of src/core is tried against: the quick tests, in this process, without other projects' programs.
// With BOOTSEAL_ROOM=disk only the tests of that room, which takes minutes and not hours:
// BOOTSEAL_ROOM=disk npx stryker run --mutate 'src/core/disk/**/*.ts'
import { defineConfig } from 'vitest/config';

const room = process.env['BOOTSEAL_ROOM'];
const ALL = ['test/unit/**/*.test.ts', 'test/property/**/*.test.ts', 'test/vectors/**/*.test.ts'];

export default defineConfig({
  test: {
    include: room === undefined ? ALL : [`test/unit/${room}/**/*.test.ts`, `test/property/${room}*.test.ts`],
    // Tests of the shell around the core; one of them sends its own process a signal, which ends Stryker's worker.
    exclude: ['test/unit/{host,lab}/**', 'test/unit/guest/header-copy.test.ts'],
    testTimeout: 180_000,
    restoreMocks: true,
    isolate: false,
  },
});
