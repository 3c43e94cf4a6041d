/** @module Debian's cryptsetup as a peer: on plain files, without device-mapper. */
import { spawnSync } from 'node:child_process';
import type { Needed } from '../needs.ts';

/** What the tests need. */
export const CRYPTSETUP: Needed = {
  name: 'cryptsetup',
  files: ['/usr/sbin/cryptsetup'],
  how: 'run npm test as root once, or install cryptsetup-bin',
};

/** What one run gave. */
export interface Ran {
  readonly status: number;
  /** Both standard output and standard error. */
  readonly printed: string;
}

/** Runs cryptsetup with `key` on its standard input. */
export function cryptsetup(args: readonly string[], key: Uint8Array | string = ''): Ran {
  const { status, stdout, stderr, error } = spawnSync('/usr/sbin/cryptsetup', ['--batch-mode', ...args], {
    input: key,
  });
  if (error !== undefined) throw error;
  return { status: status ?? -1, printed: `${stdout.toString()}${stderr.toString()}` };
}

/** Like {@link cryptsetup}, for runs that must succeed; returns what was printed. */
export function cryptsetupSucceeds(args: readonly string[], key: Uint8Array | string = ''): string {
  const { status, printed } = cryptsetup(args, key);
  if (status !== 0) throw new Error(`cryptsetup ${args.join(' ')} ended with ${status}: ${printed}`);
  return printed;
}

/** Returns the volume key that cryptsetup finds in an image. */
export function volumeKey(image: string, key: Uint8Array, args: readonly string[] = []): string {
  const printed = cryptsetupSucceeds(['luksDump', '--dump-volume-key', '--key-file', '-', ...args, image], key);
  const hex = /MK dump:([0-9a-f\s]+)/.exec(printed)?.[1] ?? '';
  return hex.replaceAll(/\s/g, '');
}

/** Why tests that reencrypt need root. */
export const REENCRYPTION = 'only root gets the lock that cryptsetup wants for reencryption';
