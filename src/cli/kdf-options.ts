/** @module Options for what trying a key shall cost, of every command that makes a keyslot. */
import { type Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { KdfWish } from '../core/luks/key-strength.ts';
import { parseUnsigned } from './numbers.ts';

/** What commander makes of them. */
export interface KdfOptions {
  readonly kdf?: KdfWish['type'];
  readonly kdfIterations?: number;
  /** MiB. */
  readonly kdfMemory?: number;
  readonly kdfLanes?: number;
}

const number = (option: string) => (text: string) => parseUnsigned(text, option, 0xffffffff);
/** MiB; in KiB it must fit the header. */
const MAX_MEMORY = 1 << 20;

/** Adds the options to a command. */
export function addKdfOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--kdf <function>',
        'key derivation (default: pbkdf2 for random keys, argon2id for what may be a passphrase)',
      ).choices(['pbkdf2', 'argon2id']),
    )
    .option('--kdf-iterations <count>', 'iterations of pbkdf2, or passes of argon2id', number('--kdf-iterations'))
    .option('--kdf-memory <MiB>', 'memory of argon2id, which the guest must have', (text: string) =>
      parseUnsigned(text, '--kdf-memory', MAX_MEMORY),
    )
    .option('--kdf-lanes <count>', 'lanes of argon2id, 1 to 4', number('--kdf-lanes'));
}

/** Returns what is wanted, if anything is; throws `usage` for costs without a function. */
export function kdfWish({ kdf, kdfIterations, kdfMemory, kdfLanes }: KdfOptions): KdfWish | undefined {
  if (kdf === undefined) {
    if ((kdfIterations ?? kdfMemory ?? kdfLanes) === undefined) return undefined;
    throw new BootsealError('usage', 'costs of a key derivation need --kdf: say which one', {
      hint: 'take --kdf pbkdf2 or --kdf argon2id, or leave the costs out',
    });
  }
  const memory = kdfMemory === undefined ? undefined : kdfMemory * 1024;
  return { type: kdf, iterations: kdfIterations, memory, lanes: kdfLanes };
}
