/** @module `bootseal image remove-key`: a key that opens an image no more. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { type LuksHeader, passphraseSlots, unlock, unlockAll } from '../core/luks/image.ts';
import { nodeLuksCrypto } from '../host/node-luks.ts';
import { parseKeyslot } from './image-input.ts';
import { addChangeOptions, type Changeable, type ChangeOptions, changeKeys, reportChange } from './image-key-change.ts';
import { withKeyFile } from './image-new-key.ts';
import type { Io } from './io.ts';

interface Options extends ChangeOptions {
  readonly keyFile?: string;
  readonly keyslot?: number;
  readonly remainingKeyFile?: string;
  readonly allowLockout?: boolean;
}

/** Returns the command. */
export function imageRemoveKeyCommand(io: Io): Command {
  const command = new Command('remove-key')
    .summary('make a key of an image useless')
    .description(
      'Wipe every keyslot that a key opens, or one keyslot by its number. Without any keyslot nothing opens the data ever again.',
    )
    .argument('<image>', 'image')
    .option('--key-file <file>', 'the key that shall open it no more; - for standard input')
    .option('--keyslot <number>', 'remove this keyslot, whose key may be lost', parseKeyslot)
    .option('--remaining-key-file <file>', 'a key that must open another keyslot, or nothing is done')
    .option('--allow-lockout', 'go on also where no keyslot remains, or where no remaining key was given to try');
  return addChangeOptions(command)
    .addHelpText(
      'after',
      `
Who had the key and a copy of the disk or of its header can still read the data: the volume key is the same.

Examples:
  bootseal image remove-key disk.img --key-file old.key
  bootseal image remove-key disk.img --keyslot 1 --remaining-key-file disk.key`,
    )
    .action((image: string, options: Options) => removeKey(io, image, options));
}

async function removeKey(io: Io, image: string, options: Options): Promise<void> {
  checkOptions(options);
  const lines: string[] = [];
  const changed = await changeKeys(io, image, options, async (found) => {
    const remove = await keyslotsToRemove(io, options, found);
    if (options.remainingKeyFile !== undefined) await checkRemaining(io, options.remainingKeyFile, found, remove);
    checkLockout(found.header, remove, options);
    return found.commit({ remove });
  });
  lines.push(`keyslot ${changed.removed.join(', ')} removed`);
  reportChange(io, options, lines, changed);
}

function checkOptions({ keyFile, keyslot, remainingKeyFile, allowLockout }: Options): void {
  if ((keyFile === undefined) === (keyslot === undefined)) {
    throw new BootsealError('usage', 'which key? Give either --key-file or --keyslot', {
      hint: 'image inspect shows the keyslots',
    });
  }
  if (keyslot !== undefined && remainingKeyFile === undefined && allowLockout !== true) {
    throw new BootsealError('usage', `nothing shows that a key remains when keyslot ${keyslot} is gone`, {
      hint: 'give --remaining-key-file with another key of the disk, or --allow-lockout',
    });
  }
}

async function keyslotsToRemove(
  io: Io,
  { keyFile, keyslot }: Options,
  { header, disk, finished }: Changeable,
): Promise<readonly number[]> {
  if (keyslot !== undefined) return finished.includes(keyslot) ? [] : [keyslot];
  return withKeyFile(io, keyFile ?? '', async (key) => {
    const opened = await unlockAll(header, disk, key, nodeLuksCrypto);
    wipe(...opened.map(({ volumeKey }) => volumeKey));
    // Says why none opens, unless an interrupted removal was finished just now.
    if (opened.length === 0 && finished.length === 0) await unlock(header, disk, key, nodeLuksCrypto);
    return opened.map(({ keyslot: id }) => id);
  });
}

async function checkRemaining(
  io: Io,
  file: string,
  { header, disk }: Changeable,
  remove: readonly number[],
): Promise<void> {
  await withKeyFile(io, file, async (key) => {
    const all = await unlockAll(header, disk, key, nodeLuksCrypto);
    wipe(...all.map(({ volumeKey }) => volumeKey));
    const opened = all.filter(({ bound }) => bound);
    if (opened.some(({ keyslot }) => !remove.includes(keyslot))) return;
    throw new BootsealError('key', 'the key that shall remain opens no other keyslot', {
      hint:
        opened.length === 0 ? 'it opens none that holds the key of the data' : 'it is the one that would be removed',
    });
  });
}

/** Counts what a passphrase opens the data with; that it is known to somebody can only be tried. */
function checkLockout(header: LuksHeader, remove: readonly number[], { allowLockout }: Options): void {
  if (allowLockout === true || remove.length === 0) return;
  if (passphraseSlots(header).some(({ id, bound }) => bound && !remove.includes(id))) return;
  throw new BootsealError(
    'usage',
    `keyslot ${remove.join(', ')} is the last: without it nothing opens the data ever again`,
    {
      hint: 'add another key first, or give --allow-lockout to destroy the data that way',
    },
  );
}
