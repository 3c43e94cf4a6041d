import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: './test/build-worker.ts',
    testTimeout: 180_000,
    hookTimeout: 60_000,
    // Vitest leaves one processor idle unless told; most tests wait for a program that uses one.
    maxWorkers: '100%',
    restoreMocks: true,
    reporters: ['default', './test/closing-line.ts'],
  },
});
