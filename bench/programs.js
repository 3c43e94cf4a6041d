// The programs whose times are compared; each returns what it printed, and throws when it failed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as path from 'node:path';

const COMMAND = path.join(import.meta.dirname, '..', 'bin', 'bootseal.js');
const PRELOAD = path.join(import.meta.dirname, 'peak-memory.cjs');

// A shim in front of the interpreter would count against the peer.
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

/** Path of the peer's script, if the person has one. */
export const peerScript = process.env['BOOTSEAL_PEER_SEV_SNP_MEASURE'];

/** Runs the real command in a process of its own, which has to end with `status`. */
export function bootseal(args, status = 0) {
  return run(process.execPath, [COMMAND, ...args], status).stdout;
}

/** Runs the real command twice at the same time, whatever comes of it. */
export function twiceAtOnce(args) {
  const script = '"$@" > /dev/null 2>&1 & "$@" > /dev/null 2>&1; wait';
  run('/bin/sh', ['-c', script, 'sh', process.execPath, COMMAND, ...args]);
}

/** Runs virtee/sev-snp-measure. */
export function peer(args) {
  return run(PYTHON, [peerScript, ...args]).stdout;
}

/** Runs the least that a Node process must do to hash a firmware for SNP: its pages, and nothing else. */
export function floor(firmware) {
  const script = `const { createHash } = require('crypto');
    const bytes = require('fs').readFileSync(process.argv[1]);
    for (let at = 0; at < bytes.length; at += 4096) createHash('sha384').update(bytes.subarray(at, at + 4096)).digest();`;
  return run(process.execPath, ['-e', script, firmware]).stdout;
}

/** Runs the least that a Node process must do to try so many SNP launches: one SHA-384 of a PAGE_INFO each. */
export function searchFloor(launches) {
  const script = `const { hash } = require('crypto');
    const info = Buffer.alloc(112);
    for (let i = 0; i < Number(process.argv[1]); i++) info.set(hash('sha384', info, 'buffer'));`;
  return run(process.execPath, ['-e', script, `${launches}`]).stdout;
}

/** Runs the real command, which has to end with `status`, and returns the most memory that it had at once, in MiB. */
export function peakMemory(args, status = 0) {
  const { stderr } = run(process.execPath, ['--require', PRELOAD, COMMAND, ...args], status);
  return Number(/^peak memory (\d+) KiB$/m.exec(stderr)[1]) / 1024;
}

function run(program, args, status = 0) {
  const ran = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (ran.status !== status) throw new Error(`${program} ${args.join(' ')}: ${ran.error?.message ?? ran.stderr}`);
  return ran;
}
