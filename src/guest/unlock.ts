/** @module Opens a disk through its luks2-keyring token with an unmodified cryptsetup. */
import { BootsealError } from '../core/errors.ts';
import type { Luks2Header } from '../core/luks/luks2.ts';
import { OWN_COPY } from '../core/luks/own-copy.ts';
import { tokenMeaning } from '../core/luks/token.ts';
import { FailedProgram, type Program } from '../host/program.ts';
import type { Guest } from './guest.ts';
import { addKey, checkDescription, hasKey, linkIntoSession, removeKey, requestKey } from './keyring.ts';

const CRYPTSETUP: Program = { name: 'cryptsetup', package: 'cryptsetup-bin' };

/** Seconds in which the key is needed; if this process is killed before it removes the key, it expires. */
const KEY_LIFE = 300;

/** A token that names a key. */
export interface KeyringToken {
  readonly id: number;
  readonly description: string;
}

/** What is opened. */
export interface Opening {
  readonly device: string;
  /** File with the checked copy of the header. */
  readonly header: string;
  /** Name below /dev/mapper; undefined only tries the key. */
  readonly name: string | undefined;
  readonly token: KeyringToken;
  readonly readonly: boolean;
}

/** Where the key comes from: bytes, or the kernel's request with this callout. */
export type KeySource = { readonly value: Uint8Array } | { readonly callout: string };

/**
 * Returns the token that is meant. Throws `usage` when none or several are there, `format` when no key can have the description that
 * it names.
 */
export function findKeyringToken(header: Luks2Header, wanted: number | undefined): KeyringToken {
  const tokens = header.current.metadata.tokens.flatMap((token) => {
    const meaning = tokenMeaning(token);
    return meaning?.type === 'luks2-keyring' ? [{ id: token.id, description: meaning.keyDescription }] : [];
  });
  const found = wanted === undefined ? tokens : tokens.filter(({ id }) => id === wanted);
  const [token] = found;
  if (token === undefined) {
    throw new BootsealError(
      'usage',
      wanted === undefined ? 'the header has no luks2-keyring token' : `there is no luks2-keyring token ${wanted}`,
      {
        hint: 'cryptsetup token add --key-description NAME DEVICE adds one',
      },
    );
  }
  if (found.length > 1) {
    throw new BootsealError('usage', `there are ${found.length} luks2-keyring tokens`, {
      hint: `say which one with --token: ${found.map(({ id }) => id).join(', ')}`,
    });
  }
  requireKeyName(token);
  return token;
}

/** The host can write the header: cryptsetup would look for what stands before a NUL, and keyctl takes none. */
function requireKeyName({ id, description }: KeyringToken): void {
  try {
    checkDescription('user', description);
  } catch (cause) {
    if (!(cause instanceof BootsealError)) throw cause;
    throw new BootsealError('format', `tokens.${id}: ${cause.message}`, { ...OWN_COPY, cause });
  }
}

/**
 * Puts the key into the keyring under the token's description, lets cryptsetup open the disk, and removes the key, also after a
 * failure.
 *
 * @throws `usage` when a key of that description is there already: the header, which the host can write, chose the name; `key`
 * when the key does not open the disk; `tool`
 */
export async function openWithToken(guest: Guest, opening: Opening, source: KeySource): Promise<void> {
  const { description } = opening.token;
  if (await hasKey(guest, 'user', description)) {
    throw new BootsealError('usage', `the keyring has a key ${JSON.stringify(description)} already`, {
      hint: "it is not this command's to use or to replace, and the host may have chosen the name; if it was left over, keyctl unlink it",
    });
  }
  const serial =
    'value' in source
      ? await addKey(guest, { type: 'user', description, keyring: '@u', timeout: KEY_LIFE }, source.value)
      : await requestKey(guest, 'user', description, source.callout);
  try {
    // cryptsetup looks into the session keyring: where there is one, the user's may not be linked to it.
    await linkIntoSession(guest, serial);
    await guest.run(CRYPTSETUP, { args: cryptsetupArguments(opening) }).catch(explain);
  } finally {
    await removeKey(guest, serial, '@u');
  }
}

function cryptsetupArguments({ device, header, name, token, readonly }: Opening): string[] {
  return [
    'open',
    '--type=luks2',
    '--batch-mode',
    '--token-only',
    `--token-id=${token.id}`,
    `--header=${header}`,
    ...(readonly ? ['--readonly'] : []),
    ...(name === undefined ? ['--test-passphrase', '--', device] : ['--', device, name]),
  ];
}

function explain(error: unknown): never {
  // cryptsetup(8): 2 is no permission, that is a wrong passphrase or a token without its key; 1 is all that has no status of its own,
  // such as a kernel without device-mapper, of which it says what it was.
  if (error instanceof FailedProgram && error.status === 2) {
    throw new BootsealError('key', `the key of the token does not open the disk: ${error.message}`, {
      hint: 'give the key that the disk was made with; if it is that one, the host has exchanged the disk or its header',
      cause: error,
    });
  }
  throw error;
}
