/** @module Before all tests: the thread that encrypts images runs as JavaScript, also where the tests run TypeScript. */
import { createRequire } from 'node:module';

const { buildWorker } = createRequire(import.meta.url)('../bin/build.js') as { buildWorker(): Promise<unknown> };

export default async function setup(): Promise<void> {
  await buildWorker();
}
