/**
 * @module Keys in the kernel's keyring, through keyctl(1). The payload goes to its standard input, never into arguments.
 *
 * The user's keyring `@u` is the default: it stays when a process ends. In a process without a session keyring, as in an initrd,
 * `@s` is a keyring that is made for keyctl alone and is gone when it ends, and the key with it.
 */
import { BootsealError } from '../core/errors.ts';
import { FailedProgram, type Program } from '../host/program.ts';
import type { Guest } from './guest.ts';

const KEYCTL: Program = { name: 'keyctl', package: 'keyutils' };

/** `user` can be read by whoever possesses it; `logon` by the kernel only. */
export type KeyType = 'user' | 'logon';

/** What becomes of a key besides its payload. */
export interface KeyLimits {
  /** Seconds after which it expires. */
  readonly timeout?: number;
  /** Permission mask of keyctl(1) setperm. */
  readonly permissions?: number;
}

/** A key to be made. */
export interface NewKey extends KeyLimits {
  readonly type: KeyType;
  readonly description: string;
  /** `@u`, `@us`, `@s` or a number. */
  readonly keyring: string;
}

/** Bytes that a key of these types may have (linux security/keys/user_defined.c). */
const MAX_KEY = 32767;

/** Bytes of a description with its NUL (linux security/keys/keyctl.c, KEY_MAX_DESC_SIZE). */
const MAX_DESCRIPTION = 4096;

/** A key's or keyring's number in decimal. */
const SERIAL = /^[1-9][0-9]{0,9}$/;

const DESCRIBED = 'give the description that the token has, or one such as bootseal:disk';
const OTHER_KEYCTL = 'look what keyctl this is: the one of the package keyutils is needed';

/** Throws `usage` for a description that no key of the type can have. */
export function checkDescription(type: KeyType, description: string): void {
  const size = Buffer.byteLength(description);
  if (size === 0 || size >= MAX_DESCRIPTION || description.includes('\0')) {
    throw new BootsealError('usage', `the description of a key has 1 to ${MAX_DESCRIPTION - 1} bytes, and no NUL`, {
      hint: DESCRIBED,
    });
  }
  if (type === 'logon' && description.indexOf(':') < 1) {
    throw new BootsealError(
      'usage',
      'the description of a logon key begins with a name and a colon, as in bootseal:disk',
      { hint: DESCRIBED },
    );
  }
}

/** Throws `usage` for a keyring that would be gone at once, or is none. */
export function checkKeyring(keyring: string): void {
  if (['@u', '@us', '@s'].includes(keyring) || SERIAL.test(keyring)) return;
  throw new BootsealError('usage', 'a keyring is @u, @us, @s or a number', {
    hint: 'the keyrings of a thread or process (@t, @p) end with keyctl',
  });
}

/** Throws `usage` when no key can hold the value. */
function checkPayload(value: Uint8Array): void {
  if (value.length === 0 || value.length > MAX_KEY) {
    throw new BootsealError('usage', `a key holds 1 to ${MAX_KEY} bytes, not ${value.length}`, {
      hint: '`bootseal guest read` writes a secret of any size to a file; one for the keyring is made in that size',
    });
  }
}

/**
 * Makes a key and returns its number. When its limits cannot be set it is removed again.
 *
 * @throws `usage`, `tool`
 */
export async function addKey(guest: Guest, key: NewKey, value: Uint8Array): Promise<string> {
  checkDescription(key.type, key.description);
  checkKeyring(key.keyring);
  checkPayload(value);
  const args = ['padd', key.type, key.description, key.keyring];
  const serial = (await guest.run(KEYCTL, { args }, value)).stdout.trim();
  if (!SERIAL.test(serial))
    throw new BootsealError('tool', 'keyctl printed no number of a key', { hint: OTHER_KEYCTL });
  try {
    await limitKey(guest, serial, key);
  } catch (error) {
    await removeKey(guest, serial, key.keyring);
    throw error;
  }
  return serial;
}

async function limitKey(guest: Guest, serial: string, { timeout, permissions }: KeyLimits): Promise<void> {
  if (timeout !== undefined) await guest.run(KEYCTL, { args: ['timeout', serial, `${timeout}`] });
  if (permissions !== undefined) {
    await guest.run(KEYCTL, { args: ['setperm', serial, `0x${permissions.toString(16).padStart(8, '0')}`] });
  }
}

/** Revokes a key, so that nobody who holds it can use it, and takes it out of its keyring. Throws `tool`. */
export async function removeKey(guest: Guest, serial: string, keyring: string): Promise<void> {
  await guest.run(KEYCTL, { args: ['revoke', serial] });
  // A revoked key may be swept away before.
  await guest.run(KEYCTL, { args: ['unlink', serial, keyring] }).catch(ignoreTool);
}

/**
 * Links a key into the session keyring of this process, where there is one. A key of the same type and description would be put out
 * of it, so {@link hasKey} comes before.
 */
export async function linkIntoSession(guest: Guest, serial: string): Promise<void> {
  await guest.run(KEYCTL, { args: ['link', serial, '@s'] }).catch(ignoreTool);
}

/** Says whether the keyring of the user or that of this session has a key of this type and description. Throws `usage`. */
export async function hasKey(guest: Guest, type: KeyType, description: string): Promise<boolean> {
  checkDescription(type, description);
  for (const keyring of ['@u', '@s']) {
    const args = ['search', keyring, type, description];
    if (await guest.run(KEYCTL, { args }).then(() => true, ignoreTool)) return true;
  }
  return false;
}

/** Asks the kernel for a key that is made on demand; returns its number. Throws `key` when the request is refused. */
export async function requestKey(guest: Guest, type: KeyType, description: string, callout: string): Promise<string> {
  checkDescription(type, description);
  const args = ['request2', type, description, callout, '@u'];
  try {
    const serial = (await guest.run(KEYCTL, { args })).stdout.trim();
    if (SERIAL.test(serial)) return serial;
  } catch (cause) {
    if (!(cause instanceof FailedProgram)) throw cause;
    throw new BootsealError(
      'key',
      `the request for the key ${JSON.stringify(description)} was refused: ${cause.message}`,
      {
        hint: 'is there a rule for it in /etc/request-key.d, and is this user allowed?',
        cause,
      },
    );
  }
  throw new BootsealError('tool', 'keyctl printed no number of a key', { hint: OTHER_KEYCTL });
}

/** Gives a key that is under construction its value; its limits come first, since afterwards it is out of reach. Throws `tool`. */
export async function instantiateKey(
  guest: Guest,
  serial: string,
  value: Uint8Array,
  limits: KeyLimits,
): Promise<void> {
  checkPayload(value);
  await limitKey(guest, serial, limits);
  await guest.run(KEYCTL, { args: ['pinstantiate', serial, '0'] }, value);
}

/** Refuses a key that is under construction, for some seconds. Throws `tool`. */
export async function rejectKey(guest: Guest, serial: string, seconds: number): Promise<void> {
  await guest.run(KEYCTL, { args: ['reject', serial, `${seconds}`, 'rejected', '0'] });
}

function ignoreTool(error: unknown): false {
  if (error instanceof BootsealError && error.kind === 'tool') return false;
  throw error;
}
