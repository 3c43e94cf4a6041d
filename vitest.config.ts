import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: './test/build-worker.ts',
    testTimeout: 180_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    reporters: ['default', './test/closing-line.ts'],
  },
});
