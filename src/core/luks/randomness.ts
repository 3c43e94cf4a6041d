/** @module Whether a key may come from a random generator, or somebody made it up: words, numbers, repetitions, counting, files. */
import { type Bet, counted, doublings, frequent, oneOf, repeated } from './bets.ts';

/**
 * A method that doubles its stake so often shows that a key is made up. A random key is taken for made up by each method in at most one
 * case of 2^20; 6 methods look at bytes, 4 at hexadecimal and 6 at base64 digits, whose bytes are looked at too: together that is less than
 * one key in 87,000. All that is lost then is time, as it gets Argon2id.
 */
const ENOUGH = 20;

/** So much of a key is looked at. */
const MOST = 4096;

const isRandom = (...methods: readonly Iterable<Bet>[]): boolean => methods.every((bets) => doublings(bets) < ENOUGH);

/** Says whether bytes look random; nothing can tell what looks random and is not, such as what a compressor made. */
export function areRandomBytes(key: Uint8Array): boolean {
  const bytes = key.subarray(0, MOST);
  return isRandom(
    // Text in a code of ASCII and more, or in one without; then the fields of files, whose numbers are small.
    oneOf(bytes, 256, (byte) => byte >= 0x20 && byte < 0x7f),
    oneOf(bytes, 256, (byte) => byte >= 0x80),
    oneOf(bytes, 256, (byte) => byte === 0),
    frequent(bytes, 256),
    repeated(bytes, 256),
    counted(bytes, 256),
  );
}

/** Says whether hexadecimal digits look random; numbers have no letters, and words of a to f have little else. */
export function areRandomHexDigits(text: string): boolean {
  const digits = Array.from(text.slice(0, MOST), (digit) => Number.parseInt(digit, 16));
  return isRandom(
    oneOf(digits, 16, (digit) => digit >= 10),
    frequent(digits, 16),
    repeated(digits, 16),
    counted(digits, 16),
  );
}

const DIGITS = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
/** What fingers run along: the alphabet and keyboards. */
const ROWS =
  'abcdefghijklmnopqrstuvwxyz 1234567890 01 qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop qsdfghjklm wxcvbn';
const areBeside = (a: string, b: string) => [a + b, b + a].some((pair) => ROWS.includes(pair.toLowerCase()));
const BESIDE = new Map(DIGITS.map((digit) => [digit, DIGITS.filter((other) => areBeside(digit, other))]));

/** Says whether base64 digits look random, all of whose six bits belong to the key; words of any spelling do not. */
export function areRandomBase64Digits(text: string): boolean {
  const letters = Array.from(text.slice(0, MOST));
  const digits = letters.map((letter) => DIGITS.indexOf(letter));
  return isRandom(
    words(letters, (letter) => letter),
    words(letters, (letter) => LEET[letter] ?? letter),
    sameClass(letters),
    rows(letters),
    frequent(digits, 64),
    repeated(digits, 64),
  );
}

type LetterClass = 'small' | 'capital' | 'number' | 'sign';

function classOf(letter: string): LetterClass {
  if (letter >= 'a' && letter <= 'z') return 'small';
  if (letter >= 'A' && letter <= 'Z') return 'capital';
  return letter >= '0' && letter <= '9' ? 'number' : 'sign';
}

const shareOf = <T>(all: readonly T[], isOne: (one: T) => boolean) => all.filter(isOne).length / all.length;

/** How often a small letter comes next in words with capitals. */
const SMALL_AFTER = { small: 3 / 4, capital: 7 / 8, number: 1 / 4, sign: 1 / 4 } as const;
const isVowel = (letter: string) => 'aeiouAEIOU'.includes(letter);
/** Most consonants in European languages are one of these. */
const isUsual = (letter: string) => 'nstrhlNSTRHL'.includes(letter);
const LEET: Readonly<Record<string, string>> = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't' };

/** Bets on small letters by what is before them, on vowels by whether one is before them, and of consonants on the usual ones. */
function* words(text: readonly string[], read: (letter: string) => string): Iterable<Bet> {
  const digits = DIGITS.map(read);
  const chance = shareOf(digits, (digit) => classOf(digit) === 'small');
  let [before, wasVowel]: [LetterClass, boolean] = ['sign', false];
  for (const letter of text.map(read)) {
    const kind = classOf(letter);
    yield { chance, wins: kind === 'small', about: before, hope: SMALL_AFTER[before] };
    before = kind;
    if (kind === 'small' || kind === 'capital') {
      const such = digits.filter((digit) => classOf(digit) === kind);
      const [wins, hope] = [isVowel(letter), wasVowel ? 1 / 8 : 1 / 2];
      yield { chance: shareOf(such, isVowel), wins, about: `vowel after ${wasVowel ? 'vowel' : 'other'}`, hope };
      const others = such.filter((digit) => !isVowel(digit));
      if (!wins) yield { chance: shareOf(others, isUsual), wins: isUsual(letter), about: 'consonant', hope: 5 / 8 };
    }
    wasVowel = isVowel(letter);
  }
}

/** Bets that small letters follow small ones, capitals capitals, numbers numbers. */
function* sameClass(text: readonly string[]): Iterable<Bet> {
  for (const [i, letter] of text.slice(1).entries()) {
    const before = classOf(text[i] ?? '');
    yield { chance: shareOf(DIGITS, (digit) => classOf(digit) === before), wins: classOf(letter) === before };
  }
}

/** Bets on a letter that is beside the one before it, to the left or to the right, small or capital. */
function* rows(text: readonly string[]): Iterable<Bet> {
  for (const [i, letter] of text.slice(1).entries()) {
    const beside = BESIDE.get(text[i] ?? '') ?? [];
    yield { chance: beside.length / DIGITS.length, wins: beside.includes(letter) };
  }
}
