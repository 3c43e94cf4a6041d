// What a mutant of src/core is tried against: the quick tests, in this process, without other projects' programs.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts', 'test/property/**/*.test.ts', 'test/vectors/**/*.test.ts'],
    // Tests of the shell around the core; one of them sends its own process a signal, which ends Stryker's worker.
    exclude: ['test/unit/{host,lab}/**', 'test/unit/guest/header-copy.test.ts'],
    testTimeout: 180_000,
    restoreMocks: true,
    isolate: false,
  },
});
