/** @module A new key of an image that exists: given in a file, or made here and written to a new one. */
import type { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import type { LuksHeader } from '../core/luks/image.ts';
import { type ChosenKdf, chooseKdf, LUKS1_KDF } from '../core/luks/key-strength.ts';
import { checkGrubKey } from '../core/luks/plan-luks1.ts';
import { writeNewFile } from '../host/new-file.ts';
import { newImageKey, readNewKey } from './image-key.ts';
import { type Io, resolvePath } from './io.ts';
import { addKdfOptions, type KdfOptions, kdfWish } from './kdf-options.ts';
import { readKeyFile } from './key-file.ts';
import { checkOutputs } from './outputs.ts';
import { secretFile } from './secret-file.ts';

/** What commander makes of the options. */
export interface NewKeyOptions extends KdfOptions {
  readonly newKeyFile?: string;
  readonly newKey?: string;
  readonly keepNewline?: boolean;
}

/** A key that is new. */
export interface AddedKey extends ChosenKdf {
  readonly passphrase: Uint8Array;
  /** Writes a key that was made here to its file, before it is the key of anything. */
  save(): Promise<void>;
}

/** Bytes; as cryptsetup's --key-file. */
const MAX_KEY_FILE = 8 << 20;

/** Adds the options. */
export function addNewKeyOptions(command: Command): Command {
  return addKdfOptions(
    command
      .option('--new-key-file <file>', 'the new key: all bytes of the file (or - for standard input)')
      .option('--new-key <file>', 'make a random key instead and write it to this new file')
      .option('--keep-newline', 'take a new key of text with the line break at its end'),
  );
}

/** Refuses what cannot be, before any file is opened. Throws `usage`. */
export async function checkNewKeyOptions(
  io: Io,
  image: string,
  { newKeyFile, newKey, keyFile, header }: NewKeyOptions & { readonly keyFile: string; readonly header?: string },
): Promise<void> {
  if ((newKeyFile === undefined) === (newKey === undefined)) {
    throw new BootsealError('usage', 'which new key? Give either --new-key-file or --new-key', {
      hint: '--new-key FILE makes a key and writes it there',
    });
  }
  if (newKey !== undefined) {
    secretFile(newKey, '--new-key');
    await checkOutputs(io, [newKey], [image, `${image}.json`, header, keyFile]);
  }
  if (keyFile === '-' && newKeyFile === '-') {
    throw new BootsealError('usage', 'standard input can be read only once: one of the keys must come from a file', {
      hint: 'write one of the keys to a file that only you can read',
    });
  }
}

/** Runs `use` with the new key and wipes it. Throws as readNewKey, chooseKdf and, for LUKS1, checkGrubKey. */
export async function withNewKey<T>(
  io: Io,
  options: NewKeyOptions,
  header: LuksHeader,
  use: (key: AddedKey) => Promise<T>,
): Promise<T> {
  const { newKeyFile, newKey, keepNewline = false } = options;
  const file = newKey === undefined ? undefined : resolvePath(io, newKey);
  const passphrase =
    newKeyFile === undefined ? newImageKey(io.randomBytes) : await readNewKey(io, newKeyFile, keepNewline);
  try {
    const wish = kdfWish(options) ?? (header.version === 1 ? LUKS1_KDF : undefined);
    // As `image build` has it: what opens such a disk is a GRUB.
    if (header.version === 1) checkGrubKey(passphrase, 'the new key');
    const save = async () => {
      if (file !== undefined) await writeNewFile(file, passphrase, 0o600);
    };
    return await use({ passphrase, ...chooseKdf(passphrase, wish), save });
  } finally {
    wipe(passphrase);
  }
}

/** Runs `use` with the bytes of a key file and wipes them. Throws `io`, `format` when it is too large. */
export async function withKeyFile<T>(io: Io, file: string, use: (key: Uint8Array) => Promise<T>): Promise<T> {
  const key = await readKeyFile(io, file, MAX_KEY_FILE);
  try {
    return await use(key);
  } finally {
    wipe(key);
  }
}
