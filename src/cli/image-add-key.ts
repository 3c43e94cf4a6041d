/** @module `bootseal image add-key`: another key that opens an image. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { type Unlocked, unlock, unlockAll } from '../core/luks/image.ts';
import { nodeLuksCrypto } from '../host/node-luks.ts';
import { KEYSLOT_HELP, parseKeyslot } from './image-input.ts';
import { addChangeOptions, type Changeable, type ChangeOptions, changeKeys, reportChange } from './image-key-change.ts';
import { addNewKeyOptions, checkNewKeyOptions, type NewKeyOptions, withKeyFile, withNewKey } from './image-new-key.ts';
import type { Io } from './io.ts';

interface Options extends ChangeOptions, NewKeyOptions {
  readonly keyFile: string;
  readonly keyslot?: number;
}

/** Returns the command. */
export function imageAddKeyCommand(io: Io): Command {
  const command = new Command('add-key')
    .summary('add a key that opens an image')
    .description(
      'Give another key or passphrase a keyslot of its own, in a LUKS1 or LUKS2 image of any tool. The data stay as they are.',
    )
    .argument('<image>', 'image')
    .requiredOption('--key-file <file>', 'a key that opens it; - for standard input')
    .option('--keyslot <number>', KEYSLOT_HELP, parseKeyslot);
  return addChangeOptions(addNewKeyOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  bootseal image add-key disk.img --key-file disk.key --new-key-file passphrase.txt
  bootseal image add-key disk.img --header disk.hdr --key-file disk.key --new-key second.key`,
    )
    .action((image: string, options: Options) => addKey(io, image, options));
}

async function addKey(io: Io, image: string, options: Options): Promise<void> {
  await checkNewKeyOptions(io, image, options);
  const lines: string[] = [];
  const changed = await changeKeys(io, image, options, (found) =>
    withKeyFile(io, options.keyFile, async (old) => {
      const opened = await unlock(found.header, found.disk, old, nodeLuksCrypto, options.keyslot);
      try {
        return await add(io, options, found, opened, lines);
      } finally {
        wipe(opened.volumeKey);
      }
    }),
  );
  reportChange(io, options, lines, changed);
}

function add(io: Io, options: Options, { header, disk, commit }: Changeable, opened: Unlocked, lines: string[]) {
  return withNewKey(io, options, header, async (key) => {
    const present = await unlockAll(header, disk, key.passphrase, nodeLuksCrypto);
    wipe(...present.map(({ volumeKey }) => volumeKey));
    const already = present.find(({ bound }) => bound);
    if (already !== undefined) {
      lines.push(`keyslot ${already.keyslot} has this key already, nothing was added`);
      return commit({ remove: [] });
    }
    const changed = await commit({ add: { key, opened }, remove: [], before: key.save });
    lines.push(`keyslot ${changed.added} added: ${key.kdf.type}, ${key.why}`);
    return changed;
  });
}
