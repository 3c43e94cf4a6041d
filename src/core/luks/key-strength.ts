/** @module What a key costs to guess, and so what its keyslot must cost to try: PBKDF2 with the least that there is, or Argon2id. */
import { base64ToBytes } from '../base64.ts';
import { wipe } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { hexToBytes } from '../hex.ts';
import { decodeUtf8 } from '../utf8.ts';
import { KDF_LIMITS, kdfCostProblem } from './kdf.ts';
import type { KdfChoice } from './plan.ts';
import { areRandomBase64Digits, areRandomBytes, areRandomHexDigits } from './randomness.ts';

/** A key derivation and the reason for it, one sentence without a full stop. */
export interface ChosenKdf {
  readonly kdf: KdfChoice;
  readonly why: string;
}

/** What the owner wants instead; costs that are left out are chosen. */
export interface KdfWish {
  readonly type: KdfChoice['type'];
  /** Of PBKDF2; of Argon2id the passes. */
  readonly iterations?: number | undefined;
  /** Of Argon2id; KiB. */
  readonly memory?: number | undefined;
  /** Of Argon2id. */
  readonly lanes?: number | undefined;
  /** Why, where it is not the owner who wants it; no full stop. */
  readonly because?: string;
}

/** What a LUKS1 header wants, so that nobody need ask for it. */
export const LUKS1_KDF: KdfWish = { type: 'pbkdf2', because: 'LUKS1 has no other' };

const LEAST = { type: 'pbkdf2', iterations: 1000 } as const;

/** Fixed, not measured: the guest that opens the image has this memory, and another machine builds the same image. */
const PASSPHRASE = { type: 'argon2id', time: 4, memory: 64 * 1024, cpus: 4 } as const;

/** For passphrases where Argon2 cannot be had (OWASP, Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256). */
const PASSPHRASE_ITERATIONS = 600_000;

/** 256 bits: what fits into so many bytes, and in hexadecimal or base64 digits takes so many letters. */
const KEY_BYTES = 32;
const HEXADECIMAL = /^[0-9a-fA-F]{64,}$/;
const BASE64 = /^[A-Za-z0-9+/_-]{43,}={0,2}$/;

/**
 * Chooses the key derivation of a keyslot. A random key of 256 bits cannot be guessed, whatever a try costs; what a person made
 * up can be. The strength of given bytes cannot be known, so what may have been made up counts as a passphrase.
 *
 * @throws `usage` for a wish that costs more than {@link KDF_LIMITS}, or for costs that the function does not have
 */
export function chooseKdf(key: Uint8Array, wish?: KdfWish): ChosenKdf {
  const kind = randomKind(key);
  const why =
    kind === undefined
      ? 'the key may be a passphrase, and guessing one must cost'
      : `${kind} of full entropy cannot be guessed, so that trying it need not cost`;
  if (wish === undefined) return { kdf: kind === undefined ? PASSPHRASE : LEAST, why };
  const kdf = wish.type === 'pbkdf2' ? wishedPbkdf2(wish, kind === undefined) : wishedArgon2(wish);
  const salt = new Uint8Array(0);
  const problem = kdfCostProblem(kdf.type === 'pbkdf2' ? { ...kdf, hash: '', salt } : { ...kdf, salt }, KDF_LIMITS);
  if (problem !== undefined) {
    throw new BootsealError('usage', `the key derivation ${problem}`, {
      hint: 'give other costs with --kdf-iterations, --kdf-memory and --kdf-lanes, or none',
    });
  }
  return { kdf, why: `${wish.because ?? 'as it was asked for'}; ${why}` };
}

function wishedPbkdf2({ iterations, memory, lanes }: KdfWish, isPassphrase: boolean): KdfChoice {
  if (memory !== undefined || lanes !== undefined) {
    throw new BootsealError('usage', 'pbkdf2 has neither memory nor lanes: only its iterations cost', {
      hint: 'leave --kdf-memory and --kdf-lanes out, or take --kdf argon2id',
    });
  }
  return { type: 'pbkdf2', iterations: iterations ?? (isPassphrase ? PASSPHRASE_ITERATIONS : LEAST.iterations) };
}

function wishedArgon2({ iterations, memory, lanes }: KdfWish): KdfChoice {
  const { type, time, memory: enough, cpus } = PASSPHRASE;
  return { type, time: iterations ?? time, memory: memory ?? enough, cpus: lanes ?? cpus };
}

function randomKind(key: Uint8Array): string | undefined {
  const text = textOf(key)?.replace(/\r?\n$/, '');
  if (text === undefined)
    return key.length >= KEY_BYTES && areRandomBytes(key) ? `a key of ${key.length} bytes` : undefined;
  if (HEXADECIMAL.test(text)) {
    const isRandom = areRandomHexDigits(text) && isOfRandom(hexToBytes, text.slice(0, text.length & ~1));
    return isRandom ? 'a key of hexadecimal digits' : undefined;
  }
  if (!BASE64.test(text)) return undefined;
  const digits = text.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/');
  // Without the last digit, some bits of which may be left over (RFC 4648, section 4).
  const isRandom =
    areRandomBase64Digits(digits.slice(0, -1)) && isOfRandom(base64ToBytes, digits.slice(0, digits.length & ~3));
  return isRandom ? 'a key of base64 digits' : undefined;
}

/** Says whether what the digits stand for looks random: text that was encoded does not. */
function isOfRandom(decode: (digits: string) => Uint8Array, digits: string): boolean {
  const bytes = decode(digits);
  const isRandom = areRandomBytes(bytes);
  wipe(bytes);
  return isRandom;
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
