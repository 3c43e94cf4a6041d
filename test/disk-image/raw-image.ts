/** @module Raw images to make disks from, and the command as a process of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';

const COMMAND = path.join(import.meta.dirname, '..', '..', 'bin', 'bootseal.js');

/** Bytes that look random. */
export function noise(size: number): Buffer {
  return createCipheriv('aes-256-ctr', randomBytes(32), Buffer.alloc(16)).update(Buffer.alloc(size));
}

/** Noise with what an ext4 file system of such blocks has at its beginning, as far as bootseal looks at it. */
export function ext4Noise(size: number, blockSize: 1024 | 4096): Buffer {
  const bytes = noise(size);
  bytes.writeUInt32LE(Math.log2(blockSize / 1024), 1024 + 24);
  bytes.writeUInt16LE(0xef53, 1024 + 56);
  return bytes;
}

/** Starts the real command in a process of its own. */
export function start(args: readonly string[], cwd: string): ChildProcess {
  return spawn(process.execPath, [COMMAND, ...args], { cwd, stdio: 'ignore' });
}

/** Runs a program of somebody else and returns what it printed; throws when it failed. */
export function tool(program: string, args: readonly string[], cwd: string): string {
  const ran = spawnSync(program, args, { cwd, encoding: 'utf8', timeout: 60_000 });
  if (ran.status === 0) return `${ran.stdout}${ran.stderr}`;
  throw new Error(`${program} ${args.join(' ')}: status ${ran.status}: ${ran.error?.message ?? ran.stderr}`);
}

/** Says whether a file begins with these bytes. */
export function beginsWith(file: string, bytes: Buffer): boolean {
  const fd = fs.openSync(file, 'r');
  try {
    const start = Buffer.alloc(bytes.length);
    return fs.readSync(fd, start, 0, start.length, 0) === bytes.length && start.equals(bytes);
  } finally {
    fs.closeSync(fd);
  }
}
