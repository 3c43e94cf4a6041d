/** @module `bootseal guest unlock`: a disk is opened with a launch secret through the keyring. */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { Guid } from '../core/guid.ts';
import { DISK_PASSPHRASE, secretGuid } from '../core/secret/names.ts';
import { copyHeader, withHeaderFile } from '../guest/header-copy.ts';
import { findKeyringToken, type KeySource, openWithToken } from '../guest/unlock.ts';
import { withDisk } from '../host/disk.ts';
import { STRIP_NUL_HELP } from './guest-read.ts';
import { guestOf, type SourceOptions, withSecret, withSource } from './guest-source.ts';
import { type Io, printableLines, resolvePath } from './io.ts';
import { parseUnsigned } from './numbers.ts';

interface Options extends SourceOptions {
  readonly secret: Guid;
  readonly header?: string;
  readonly headerSha256?: string;
  readonly token?: number;
  readonly request?: string;
  readonly readonly?: true;
  readonly test?: true;
  readonly stripNul?: true;
  readonly erase?: true;
  readonly json?: true;
}

const MAX_TOKEN = 31;

/** Returns the command. */
export function guestUnlockCommand(io: Io): Command {
  return withSource(
    new Command('unlock')
      .summary('open a disk with a secret, through a luks2-keyring token')
      .description(
        'Open a LUKS2 disk with an unmodified cryptsetup: the header is copied and checked, the secret becomes a key under the name in its luks2-keyring token, cryptsetup opens the disk with the copy, and the key is removed.',
      )
      .argument('<device>', 'block device or image')
      .argument('[name]', 'name of the opened disk below /dev/mapper'),
  )
    .option('--secret <guid|name>', 'which secret (default: disk-passphrase)', secretGuid, DISK_PASSPHRASE)
    .option('--header <file>', 'file with the header, where it is not on the device (detached)')
    .option('--header-sha256 <hex>', 'what the header must be, as the manifest of image build says', parseSha256)
    .option('--token <number>', 'which token, where there are several', (text) =>
      parseUnsigned(text, '--token', MAX_TOKEN),
    )
    .option('--request <callout>', 'have the kernel ask for the key (request-key(8)) instead of reading the secret')
    .option('--readonly', 'open it read-only')
    .option('--test', 'only see whether the key opens it')
    .option('--strip-nul', STRIP_NUL_HELP)
    .option('--erase', 'erase the secret when the disk is open')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Needs keyctl and cryptsetup (Debian: keyutils, cryptsetup-bin).

Examples:
  bootseal guest unlock /dev/vdb data --header-sha256 "$(jq -r .header.sha256 manifest.json)" --erase
  bootseal guest unlock /dev/vdb data --request efi:disk-passphrase`,
    )
    .action(async (device: string, name: string | undefined, options: Options) => unlock(io, device, name, options));
}

function parseSha256(text: string): string {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return text.toLowerCase();
  throw new BootsealError('usage', '--header-sha256 takes 64 hexadecimal digits', {
    hint: 'take them from header.sha256 in the manifest that image build wrote',
  });
}

async function unlock(io: Io, device: string, name: string | undefined, options: Options): Promise<void> {
  const { request, test, json } = options;
  if ((name === undefined) !== (test === true)) {
    throw new BootsealError('usage', 'give a name for the opened disk, or --test', {
      hint: 'with --test the key is tried and nothing is opened',
    });
  }
  if (name !== undefined && !/^[A-Za-z0-9_.+:-]{1,127}$/.test(name)) {
    throw new BootsealError('usage', 'the name of an opened disk has letters, digits and _ . + : -', {
      hint: 'choose one such as data, of at most 127 letters',
    });
  }
  if (options.erase === true && (request !== undefined || test === true)) {
    throw new BootsealError('usage', `${test === true ? '--test' : '--request'} and --erase exclude each other`, {
      hint: 'erase the secret afterwards, with `bootseal guest erase`',
    });
  }
  const description =
    request === undefined
      ? await withSecret(io, options.secret, options, async (value, { source }) => {
          const used = await open(io, device, name, options, { value });
          if (options.erase === true) await source.erase(options.secret);
          return used;
        })
      : await open(io, device, name, options, { callout: request });
  const done = { device, name: name ?? null, keyDescription: description, erased: options.erase === true };
  const what = name === undefined ? 'the key opens it' : `open as /dev/mapper/${name}`;
  io.stdout.write(json === true ? `${JSON.stringify(done)}\n` : printableLines([`${device}: ${what}`]));
}

/** Returns the description of the key that was used. */
async function open(
  io: Io,
  device: string,
  name: string | undefined,
  options: Options,
  source: KeySource,
): Promise<string> {
  const guest = guestOf(io, options);
  const path = resolvePath(io, device);
  const detached = options.header !== undefined;
  const headerAt = resolvePath(io, options.header ?? device);
  const copy = await withDisk(headerAt, (disk) => copyHeader(disk, detached, options.headerSha256));
  const token = findKeyringToken(copy.header, options.token);
  await withHeaderFile(guest, copy, (header) =>
    openWithToken(guest, { device: path, header, name, token, readonly: options.readonly === true }, source),
  );
  return token.description;
}
