/** @module The options of `identify` about Kata Containers. */
import type { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { Belief } from '../core/identify/boots.ts';
import { kataVerityWord } from '../core/identify/kata-verity.ts';

/** What commander makes of the options, and what they depend on. */
export interface KataOptions {
  readonly kata?: true;
  readonly kataVerity?: readonly string[];
  readonly initrd?: readonly string[];
}

/** Adds the options; `collect` makes a list of one that is repeated. */
export function addKataOptions(
  command: Command,
  collect: (value: string, before?: readonly string[]) => readonly string[],
): Command {
  return command
    .option('--kata', 'also with the words that Kata Containers puts around each command line')
    .option(
      '--kata-verity <params>',
      'with --kata: kernel_verity_params of an image with a hash tree, root_hash=…,salt=… (repeatable)',
      collect,
    );
}

/** As Kata itself: MaxQemuVCPUs in src/runtime/virtcontainers/qemu_amd64.go. */
const MOST_VCPUS = 240;

/** Returns what the owner believes of Kata in guests with up to `vcpus` vCPUs; throws `usage`. */
export function kataBelief(
  { kata, kataVerity = [], initrd = [] }: KataOptions,
  vcpus: number,
): Pick<Belief, 'kataVcpus' | 'kataVerity'> {
  if (kataVerity.length > 0 && kata !== true) {
    throw new BootsealError('usage', '--kata-verity goes with --kata', { hint: 'give --kata too, or leave it out' });
  }
  if (kataVerity.length > 0 && initrd.length > 0) {
    throw new BootsealError('usage', '--kata-verity is about an image, which Kata Containers boots without an initrd', {
      hint: 'leave out --kata-verity or --initrd',
    });
  }
  if (kata !== true) return {};
  if (vcpus > MOST_VCPUS) {
    throw new BootsealError('usage', `--kata with --vcpus ${vcpus}: Kata Containers starts no guest with so many`, {
      hint: `give --vcpus ${MOST_VCPUS} or less; the fewer, the shorter the search`,
    });
  }
  return { kataVcpus: vcpus, kataVerity: [...new Set(kataVerity.map(kataVerityWord))] };
}
