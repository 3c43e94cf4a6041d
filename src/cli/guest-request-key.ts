/** @module `bootseal guest request-key`: started by the kernel when a key is asked for that is not there. */
import { Command } from 'commander';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import { answerRequest, type Backend, parseBackend } from '../guest/request-key.ts';
import { readSmallFile } from '../host/files.ts';
import { PERM_HELP, parsePermissions, parseTimeout, TIMEOUT_HELP } from './guest-keyring.ts';
import { STRIP_NUL_HELP } from './guest-read.ts';
import { guestOf, type SourceOptions, withSecret, withSource } from './guest-source.ts';
import { type Io, printableLines } from './io.ts';
import { parseUnsigned } from './numbers.ts';

interface Options extends SourceOptions {
  readonly key: string;
  readonly uid: number;
  readonly callout: string;
  readonly allowUid?: readonly number[];
  readonly from?: Backend;
  readonly timeout?: number;
  readonly perm?: number;
  readonly stripNul?: true;
  readonly json?: true;
}

const MAX_UID = 0xffffffff;

/** Returns the command. */
export function guestRequestKeyCommand(io: Io): Command {
  return withSource(
    new Command('request-key')
      .summary('make a key that the kernel asks for')
      .description(
        'Make a key on demand. The kernel starts this through request-key(8) and a rule in /etc/request-key.d, as root, for whichever process asks; templates/request-key/bootseal.conf is such a rule.',
      ),
  )
    .requiredOption('--key <number>', 'the key under construction: %k')
    .requiredOption('--uid <number>', 'the user who asks: %u', (text) => parseUnsigned(text, '--uid', MAX_UID))
    .option('--callout <text>', 'what the requestor says, %c: efi:GUID, efi:NAME, or for root file:/PATH', '')
    .option(
      '--from <source>',
      'the only source, whatever the callout says: efi:GUID, efi:NAME or file:/PATH',
      parseBackend,
    )
    .option(
      '--allow-uid <number>',
      'a user who may ask (default: 0); can be repeated',
      (text: string, before: readonly number[] = []) => [...before, parseUnsigned(text, '--allow-uid', MAX_UID)],
    )
    .option('--timeout <seconds>', TIMEOUT_HELP, parseTimeout)
    .option('--perm <mask>', PERM_HELP, parsePermissions)
    .option('--strip-nul', STRIP_NUL_HELP)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  create user bootseal:* * /usr/bin/bootseal guest request-key --key %k --uid %u --callout %c
  create user bootseal:disk * /usr/bin/bootseal guest request-key --key %k --uid %u --from efi:disk-passphrase`,
    )
    .action(async (options: Options) => requestKey(io, options));
}

async function requestKey(io: Io, options: Options): Promise<void> {
  const { key, uid, callout, allowUid = [0], from, timeout, perm } = options;
  const rule = {
    uids: allowUid,
    from,
    ...(timeout === undefined ? {} : { timeout }),
    ...(perm === undefined ? {} : { permissions: perm }),
  };
  const backend = await answerRequest(guestOf(io, options), { key, uid, callout }, rule, (source) =>
    readBackend(io, source, options),
  );
  const source = backend.type === 'efi' ? `efi:${backend.guid}` : `file:${backend.path}`;
  io.stdout.write(
    options.json === true
      ? `${JSON.stringify({ key: Number(key), uid, source })}\n`
      : printableLines([`key ${key} made from ${source}`]),
  );
}

async function readBackend(io: Io, backend: Backend, options: Options): Promise<Uint8Array> {
  if (backend.type === 'efi') return withSecret(io, backend.guid, options, async (value) => new Uint8Array(value));
  const value = await readSmallFile(backend.path, MAX_PAYLOAD, 'the file of the key');
  if (options.stripNul !== true || value.at(-1) !== 0) return value;
  return value.subarray(0, -1);
}
