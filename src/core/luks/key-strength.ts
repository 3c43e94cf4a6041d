/** @module What a key costs to guess, and so what its keyslot must cost to try: PBKDF2 with the least that there is, or Argon2id. */
import { decodeUtf8 } from '../utf8.ts';
import type { KdfChoice } from './plan.ts';

/** A key derivation and the reason for it, one sentence without a full stop. */
export interface ChosenKdf {
  readonly kdf: KdfChoice;
  readonly why: string;
}

const LEAST: KdfChoice = { type: 'pbkdf2', iterations: 1000 };

/** Fixed, not measured: the guest that opens the image has this memory, and another machine builds the same image. */
const PASSPHRASE: KdfChoice = { type: 'argon2id', time: 4, memory: 64 * 1024, cpus: 4 };

/** 256 bits: what fits into so many bytes, and in hexadecimal or base64 digits takes so many letters. */
const KEY_BYTES = 32;
const HEXADECIMAL = /^[0-9a-fA-F]{64,}$/;
const BASE64 = /^[A-Za-z0-9+/_-]{43,}={0,2}$/;

/** A key of this length that is random has more different bytes or digits with all but no exception; a repeated word has fewer. */
const LEAST_VARIETY = 12;

/**
 * Chooses the key derivation of a keyslot. A random key of 256 bits cannot be guessed, whatever a try costs; what a person made
 * up can be. The strength of given bytes cannot be known, so what may have been made up counts as a passphrase.
 */
export function chooseKdf(key: Uint8Array): ChosenKdf {
  const kind = randomKind(key);
  if (kind === undefined) return { kdf: PASSPHRASE, why: 'the key may be a passphrase, and guessing one must cost' };
  return { kdf: LEAST, why: `${kind} of full entropy cannot be guessed, so that trying it need not cost` };
}

function randomKind(key: Uint8Array): string | undefined {
  if (new Set(key).size < LEAST_VARIETY) return undefined;
  const text = textOf(key)?.replace(/\r?\n$/, '');
  if (text === undefined) return key.length >= KEY_BYTES ? `a key of ${key.length} bytes` : undefined;
  if (HEXADECIMAL.test(text)) return 'a key of hexadecimal digits';
  // Words run together are no random digits: those have small and capital letters and numbers among them.
  const mixed = /[a-z]/.test(text) && /[A-Z]/.test(text) && /[0-9]/.test(text);
  return BASE64.test(text) && mixed ? 'a key of base64 digits' : undefined;
}

/** Returns a key that someone may have typed; random bytes of some length are no text. */
function textOf(key: Uint8Array): string | undefined {
  try {
    return decodeUtf8(key, 'key');
  } catch {
    return undefined;
  }
}

/** Says whether the key is text that ends in a line break, which counts when a file is read and is missing when it is typed. */
export function endsInNewline(key: Uint8Array): boolean {
  return key.at(-1) === 0x0a && textOf(key) !== undefined;
}
