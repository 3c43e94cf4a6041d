/** @module The keyslots of a new disk: the key that a launch releases, and the owner's own. */
import type { Command } from 'commander';
import { equalInConstantTime, wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { type ChosenKdf, chooseKdf, type KdfWish, LUKS1_KDF } from '../core/luks/key-strength.ts';
import type { KeyPurpose } from '../core/luks/manifest.ts';
import type { PlanOptions, Random } from '../core/luks/plan.ts';
import { SECRET_NAMES } from '../core/secret/names.ts';
import { type KeyOptions, newImageKey, readGivenKey, readNewKey } from './image-key.ts';
import type { Io } from './io.ts';
import { addKdfOptions, type KdfOptions, kdfWish } from './kdf-options.ts';

/** What commander makes of the options. */
export interface KeyslotOptions extends KeyOptions, KdfOptions {
  readonly recoveryKeyFile?: readonly string[];
  readonly keyringToken?: string;
  readonly luks1?: boolean;
}

/** One key of a new disk, at the place of its keyslot. */
export interface ImageKeyslot extends ChosenKdf {
  readonly passphrase: Uint8Array;
  readonly purpose: KeyPurpose;
}

/** The keys of a new disk that exist already. */
export interface ReadKeys {
  /** Undefined for one that is to be made. */
  readonly launchKey: Uint8Array | undefined;
  readonly recoveryKeys: readonly Uint8Array[];
  readonly wish: KdfWish | undefined;
}

/** The part of the plan's options that is about the header. */
type HeaderOptions = Pick<PlanOptions, 'version' | 'headerSize' | 'keys' | 'tokens'>;

/** cryptsetup's own: room for 32 keys with an aes-xts volume key of 512 bits. */
const LUKS2_HEADER = 16 << 20;
/** cryptsetup's own: all eight keyslots, and the data at the second MiB. */
const LUKS1_HEADER = 2 << 20;

/** Adds the options to `image build`. */
export function addKeyslotOptions(command: Command): Command {
  const collect = (file: string, files: readonly string[] = []) => [...files, file];
  command
    .option('--key-file <file>', 'key that opens the disk: all bytes of the file (or - for standard input)')
    .option('--new-key <file>', 'make a random key instead and write it to this new file')
    .option(
      '--recovery-key-file <file>',
      'another key or passphrase that opens the disk, in a keyslot of its own; may be given several times',
      collect,
    )
    .option('--keep-newline', 'take keys of text with the line break at their end');
  return addKdfOptions(command)
    .option(
      '--keyring-token <description>',
      'add a luks2-keyring token: the guest finds the key under this description in the keyring of its kernel',
    )
    .option('--luks1', 'make a LUKS1 disk, for a GRUB inside the firmware: pbkdf2, keys of one line of text');
}

/** Reads the keys that are given, which are the caller's to wipe. Throws as readGivenKey, `usage` for a key twice. */
export async function readKeys(io: Io, options: KeyslotOptions): Promise<ReadKeys> {
  const wish = kdfWish(options) ?? (options.luks1 === true ? LUKS1_KDF : undefined);
  const read: Uint8Array[] = [];
  try {
    const launchKey = await readGivenKey(io, options);
    if (launchKey !== undefined) read.push(launchKey);
    const recoveryKeys: Uint8Array[] = [];
    for (const file of options.recoveryKeyFile ?? []) {
      const key = await readNewKey(io, file, options.keepNewline === true);
      const isTwice = read.some((other) => equalInConstantTime(other, key));
      read.push(key);
      recoveryKeys.push(key);
      if (isTwice) throw keyTwice(file);
    }
    return { launchKey, recoveryKeys, wish };
  } catch (error) {
    wipe(...read);
    throw error;
  }
}

/** Returns the keys in the order of their keyslots, a new one among them where none is given; they are the caller's to wipe. */
export function imageKeyslots({ launchKey, recoveryKeys, wish }: ReadKeys, random: Random): readonly ImageKeyslot[] {
  return [launchKey ?? newImageKey(random), ...recoveryKeys].map((passphrase, id) => {
    return { passphrase, purpose: id === 0 ? 'launch-secret' : 'recovery', ...chooseKdf(passphrase, wish) };
  });
}

function keyTwice(file: string): BootsealError {
  return new BootsealError('usage', `the key in ${file} has a keyslot already`, {
    hint: 'a recovery key is for when the other one is lost: take another one',
  });
}

/** Returns what the plan needs to know about header and keys; throws `usage` for what LUKS1 has not. */
export function headerOptions(keys: readonly ImageKeyslot[], { luks1, keyringToken }: KeyslotOptions): HeaderOptions {
  const planned = keys.map(({ passphrase, kdf }) => ({ passphrase, kdf }));
  if (luks1 === true) {
    if (keyringToken !== undefined) {
      throw new BootsealError('usage', 'LUKS1 has no tokens: leave --keyring-token out', {
        hint: 'a LUKS2 header, without --luks1, has them',
      });
    }
    return { version: 1, headerSize: LUKS1_HEADER, keys: planned };
  }
  const secret = { meaning: { type: 'bootseal', secret: SECRET_NAMES['disk-passphrase'] }, keyslots: [0] } as const;
  const keyring =
    keyringToken === undefined
      ? []
      : [{ meaning: { type: 'luks2-keyring', keyDescription: keyringToken }, keyslots: [0] } as const];
  return { version: 2, headerSize: LUKS2_HEADER, keys: planned, tokens: [secret, ...keyring] };
}

/** Returns a line for each keyslot: its number, what it is for, and what trying a key costs, with the reason. */
export function keyslotLines(keys: readonly ImageKeyslot[]): readonly (readonly [string, string])[] {
  return keys.map(({ kdf, why, purpose }, id) => {
    const what = purpose === 'recovery' ? 'recovery key, ' : '';
    const cost = kdf.type === 'pbkdf2' ? `${kdf.iterations} iterations` : `${kdf.time} passes of ${kdf.memory} KiB`;
    return [`keyslot ${id}`, `${what}${kdf.type}, ${cost}: ${why}`];
  });
}
