// What a mutant of src/core is tried against: the quick tests, in this process, without other projects' programs.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts', 'test/property/**/*.test.ts', 'test/vectors/**/*.test.ts'],
    testTimeout: 30_000,
    restoreMocks: true,
    isolate: false,
  },
});
