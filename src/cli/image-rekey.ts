/** @module `bootseal image rekey`: a new key in the place of an old one. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { type OpenedKeyslot, unlock, unlockAll } from '../core/luks/image.ts';
import { nodeLuksCrypto } from '../host/node-luks.ts';
import { KEYSLOT_HELP, parseKeyslot } from './image-input.ts';
import {
  addChangeOptions,
  type Changeable,
  type Changed,
  type ChangeOptions,
  changeKeys,
  reportChange,
} from './image-key-change.ts';
import {
  type AddedKey,
  addNewKeyOptions,
  checkNewKeyOptions,
  type NewKeyOptions,
  withKeyFile,
  withNewKey,
} from './image-new-key.ts';
import type { Io } from './io.ts';

interface Options extends ChangeOptions, NewKeyOptions {
  readonly keyFile: string;
  readonly keyslot?: number;
}

/** Returns the command. */
export function imageRekeyCommand(io: Io): Command {
  const command = new Command('rekey')
    .summary('replace a key of an image by another')
    .description(
      'Replace a key or passphrase: the new one gets a keyslot, and only then the old one is wiped. The data and the volume key that encrypts them stay as they are.',
    )
    .argument('<image>', 'image')
    .requiredOption('--key-file <file>', 'the key that shall open it no more; - for standard input')
    .option('--keyslot <number>', KEYSLOT_HELP, parseKeyslot);
  return addChangeOptions(addNewKeyOptions(command))
    .addHelpText(
      'after',
      `
Who had the old key and a copy of the disk or of its header can still read the data: the volume key is the same. To get another one, build
the disk anew.

Examples:
  bootseal image rekey disk.img --key-file disk.key --new-key disk-2.key`,
    )
    .action((image: string, options: Options) => rekey(io, image, options));
}

async function rekey(io: Io, image: string, options: Options): Promise<void> {
  await checkNewKeyOptions(io, image, options);
  const lines: string[] = [];
  const changed = await changeKeys(io, image, options, (found) =>
    withKeyFile(io, options.keyFile, (old) =>
      withNewKey(io, options, found.header, async (key) => {
        if (Buffer.compare(old, key.passphrase) === 0) {
          throw new BootsealError('usage', 'the new key is the old one', {
            hint: 'give another key: --new-key makes one',
          });
        }
        const opened: OpenedKeyslot[] = [];
        const already: OpenedKeyslot[] = [];
        try {
          opened.push(...(await openedBy(found, old, options.keyslot)));
          already.push(...(await unlockAll(found.header, found.disk, key.passphrase, nodeLuksCrypto)));
          return await replace(found, key, { opened, already, old }, lines);
        } finally {
          wipe(...[...opened, ...already].map(({ volumeKey }) => volumeKey));
        }
      }),
    ),
  );
  reportChange(io, options, lines, changed);
}

/** Returns all keyslots that the key opens, or only the one that was asked for. */
async function openedBy(
  { header, disk }: Changeable,
  key: Uint8Array,
  only?: number,
): Promise<readonly OpenedKeyslot[]> {
  if (only !== undefined) return [{ ...(await unlock(header, disk, key, nodeLuksCrypto, only)), bound: true }];
  return unlockAll(header, disk, key, nodeLuksCrypto);
}

async function replace(
  { header, disk, commit }: Changeable,
  key: AddedKey,
  found: {
    readonly opened: readonly OpenedKeyslot[];
    readonly already: readonly OpenedKeyslot[];
    readonly old: Uint8Array;
  },
  lines: string[],
): Promise<Changed> {
  const first = found.opened.find(({ bound }) => bound);
  const present = found.already.find(({ bound }) => bound);
  const remove = found.opened.map(({ keyslot }) => keyslot);
  // What is left of a change that was cut off: the new key is there, the old one perhaps.
  if (present !== undefined) {
    lines.push(`keyslot ${present.keyslot} has the new key already`);
    if (remove.length > 0) lines.push(`keyslot ${remove.join(', ')} removed`);
    return commit({ remove });
  }
  if (first === undefined) {
    // Says why.
    await unlock(header, disk, found.old, nodeLuksCrypto);
    throw new BootsealError('key', 'the key opens no keyslot', {
      hint: 'give the key that the disk has now with --key-file',
    });
  }
  const add = { key, opened: first, replaces: first.keyslot };
  const changed = await commit({ add, remove, before: key.save });
  lines.push(`keyslot ${changed.added} has the new key: ${key.kdf.type}, ${key.why}`);
  const others = remove.filter((id) => id !== changed.added);
  if (others.length > 0) lines.push(`keyslot ${others.join(', ')}, which the old key opened, removed`);
  return changed;
}
