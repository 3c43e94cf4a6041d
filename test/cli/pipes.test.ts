import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, type Needed } from '../needs.ts';
import { scratch } from './script.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const BOOTSEAL = path.join(ROOT, 'bin', 'bootseal.js');
const { folder, remove } = scratch();

const BUILT: Needed = {
  name: 'the built command',
  files: [path.join(ROOT, 'dist', 'bootseal.cjs')],
  how: 'node bin/setup.js builds it',
};

/** How a run ended to which nobody writes; `signal` is sent when it is ready to wait for ever. */
async function ended(line: string, signal: NodeJS.Signals) {
  const child = spawn(process.execPath, [BOOTSEAL, ...line.split(' ')], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exit = new Promise<{ status: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.on('exit', (status, by) => resolve({ status, signal: by })),
  );
  const later = setTimeout(() => child.kill(signal), 2000);
  // A process that a signal does not end fails the test and goes on in no case.
  const last = setTimeout(() => child.kill('SIGKILL'), 8000);
  return exit.finally(() => {
    clearTimeout(later);
    clearTimeout(last);
  });
}

describeWith(BUILT, 'a pipe that nobody writes to', () => {
  beforeAll(() => {
    spawnSync('mkfifo', [path.join(folder, 'fifo')]);
    fs.writeFileSync(path.join(folder, 'raw'), 'what the disk holds');
    fs.writeFileSync(path.join(folder, 'key'), 'correct horse battery');
    const fast = '--kdf pbkdf2 --kdf-iterations 1000';
    const build = `image build --from raw --key-file key ${fast} --out disk.img`.split(' ');
    expect(spawnSync(process.execPath, [BOOTSEAL, ...build], { cwd: folder }).status).toBe(0);
  });
  afterAll(remove);

  it.concurrent.each([
    ['image build --from fifo --key-file key --out x.img', 'it is no regular file'],
    ['image build --from fifo --verity --out x.img', 'it is no regular file'],
    ['image inspect fifo', 'neither a file nor a block device'],
    ['image inspect disk.img --header fifo', 'neither a file nor a block device'],
    ['image verify fifo', 'neither a file nor a block device'],
    ['image verify fifo --key-file key', 'neither a file nor a block device'],
    ['image extract fifo --key-file key --out x', 'neither a file nor a block device'],
  ])(
    'is no image: %s',
    (line, message) => {
      const run = spawnSync(process.execPath, [BOOTSEAL, ...line.split(' ')], {
        ...{ cwd: folder, encoding: 'utf8', timeout: 8000, killSignal: 'SIGKILL' },
      });
      expect(run).toMatchObject({ status: 5, stderr: expect.stringContaining(message) });
    },
    20_000,
  );

  it.concurrent.each([
    ['image build --from raw --key-file fifo --out x.img', 'SIGINT'],
    ['image build --from raw --key-file fifo --out x.img', 'SIGTERM'],
    ['image build --from raw --key-file - --out x.img', 'SIGTERM'],
    ['image build --from - --key-file key --out x.img', 'SIGTERM'],
    ['image verify disk.img --key-file fifo', 'SIGINT'],
    ['image add-key disk.img --key-file fifo --new-key x', 'SIGTERM'],
    ['image add-key disk.img --key-file key --new-key-file fifo', 'SIGINT'],
  ] as const)(
    'is waited for until a signal comes: %s, %s',
    async (line, signal) => {
      expect(await ended(line, signal)).toEqual({ status: null, signal });
      expect(fs.readdirSync(folder).sort()).toEqual(['disk.img', 'disk.img.json', 'fifo', 'key', 'raw']);
    },
    20_000,
  );

  it('gives a key when somebody writes', () => {
    const line = `${process.execPath} ${BOOTSEAL} image verify disk.img --key-file <(sleep 0.5; cat key)`;
    expect(spawnSync('bash', ['-c', line], { cwd: folder }).status).toBe(0);
  });
});
