/** @module `bootseal guest keyring`: a secret becomes a key of the kernel's keyring. */
import { Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { Guid } from '../core/guid.ts';
import { secretGuid } from '../core/secret/names.ts';
import { addKey, type KeyType } from '../guest/keyring.ts';
import { STRIP_NUL_HELP } from './guest-read.ts';
import { guestOf, type SourceOptions, shownName, withSecret, withSource } from './guest-source.ts';
import type { Io } from './io.ts';
import { parseUnsigned } from './numbers.ts';

interface Options extends SourceOptions {
  readonly description: string;
  readonly type: KeyType;
  readonly keyring: string;
  readonly timeout?: number;
  readonly perm?: number;
  readonly stripNul?: true;
  readonly json?: true;
}

/** Seconds: what the kernel takes. */
const MAX_TIMEOUT = 0xffffffff;

/** Reads seconds; throws `usage`. */
export function parseTimeout(text: string): number {
  const seconds = parseUnsigned(text, '--timeout', MAX_TIMEOUT);
  // To the kernel zero means that a key never expires.
  if (seconds === 0) {
    throw new BootsealError('usage', '--timeout 0 would be no timeout: leave it out', {
      hint: 'without the option a key never expires',
    });
  }
  return seconds;
}

/** Reads a permission mask; throws `usage`. */
export function parsePermissions(text: string): number {
  return parseUnsigned(text, '--perm', 0x3f3f3f3f);
}

export const TIMEOUT_HELP = 'seconds after which the key expires (default: never)';
export const PERM_HELP = "permission mask, as keyctl setperm takes it (default: the kernel's)";

/** Returns the command. */
export function guestKeyringCommand(io: Io): Command {
  return withSource(
    new Command('keyring')
      .summary('put a secret into the kernel keyring')
      .description('Put a secret into the keyring of the kernel, from where cryptsetup, dm-crypt and services take it.')
      .argument('<guid|name>', 'which secret', secretGuid),
  )
    .requiredOption('--description <text>', 'name of the key, as a luks2-keyring token has it')
    .addOption(
      new Option('--type <type>', 'user: can be read by its possessor; logon: by the kernel only')
        .choices(['user', 'logon'])
        .default('user'),
    )
    .option('--keyring <keyring>', '@u, @us, @s or a number', '@u')
    .option('--timeout <seconds>', TIMEOUT_HELP, parseTimeout)
    .option('--perm <mask>', PERM_HELP, parsePermissions)
    .option('--strip-nul', STRIP_NUL_HELP)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Needs keyctl (Debian: keyutils).

Examples:
  bootseal guest keyring disk-passphrase --description bootseal:disk --timeout 60
  bootseal guest keyring disk-passphrase --type logon --description bootseal:disk`,
    )
    .action(async (guid: Guid, options: Options) => keyring(io, guid, options));
}

async function keyring(io: Io, guid: Guid, options: Options): Promise<void> {
  const { type, description, keyring, timeout, perm } = options;
  await withSecret(io, guid, options, async (value) => {
    const limits = {
      ...(timeout === undefined ? {} : { timeout }),
      ...(perm === undefined ? {} : { permissions: perm }),
    };
    const serial = await addKey(guestOf(io, options), { type, description, keyring, ...limits }, value);
    io.stdout.write(
      options.json === true
        ? `${JSON.stringify({ key: Number(serial), type, description, keyring, guid })}\n`
        : `key ${serial}: ${shownName(guid)} as ${type} ${JSON.stringify(description)} in ${keyring}\n`,
    );
  });
}
