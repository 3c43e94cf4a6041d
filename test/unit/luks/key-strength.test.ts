import { createCipheriv, createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { describe, expect, it } from 'vitest';
import { chooseKdf, endsInNewline } from '../../../src/core/luks/key-strength.ts';
import { failure } from '../../failure.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'utf8'));
const LEAST = { type: 'pbkdf2', iterations: 1000 };
/** SHA-256 of "bootseal": as good as random, and the same each time. */
const RANDOM = createHash('sha256').update('bootseal').digest();
const BASE64 = RANDOM.toString('base64').slice(0, 43);

/** The first such key that has none of the ten in its base64. */
const NO_NUMBER = Array.from({ length: 9000 }, (_, i) => createHash('sha256').update(`${i}`).digest('base64')).find(
  (text) => !/[0-9]/.test(text),
) as string;

/** A grey picture of one pixel. */
const PNG = Buffer.from(
  '89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63600000000200014801a4710000000049454e44ae426082',
  'hex',
);

describe('chooseKdf', () => {
  const binary = new Uint8Array(RANDOM);
  it.each([
    ['32 random bytes', binary, 'a key of 32 bytes'],
    ['64 hexadecimal digits', bytes(RANDOM.toString('hex')), 'a key of hexadecimal digits'],
    ['the same with a line break', bytes(`${RANDOM.toString('hex')}\r\n`), 'a key of hexadecimal digits'],
    ['43 base64 digits', bytes(BASE64), 'a key of base64 digits'],
    ['base64 with padding', bytes(`${BASE64}=\n`), 'a key of base64 digits'],
    ['base64 with padding and by chance no number', bytes(NO_NUMBER), 'a key of base64 digits'],
    ['base64 of URLs', bytes(`${BASE64.slice(2)}_-`), 'a key of base64 digits'],
  ])('takes the least PBKDF2 for %s', (_name, key, kind) => {
    expect(chooseKdf(key)).toEqual({
      kdf: LEAST,
      why: `${kind} of full entropy cannot be guessed, so that trying it need not cost`,
    });
  });

  it.each([
    ['a word', bytes('correct horse battery staple')],
    ['words run together', bytes('correcthorsebatterystapleCORRECTHORSEBATTERYSTAPLE')],
    ['words with a number, without capitals', bytes('correcthorsebatterystaple1correcthorsebatterystaple')],
    ['words run together, small and large', bytes('correctHorseBatteryStapleCorrectHorseBatterySt')],
    ['words run together with a sign of equality', bytes('correctHorseBatteryStapleCorrectHorseBatterySt=')],
    ['a long sentence', bytes('Whoever reads this sentence of 64 letters or more has too much time.')],
    ['a sentence that is no ASCII', bytes('Früh übt sich, wer Schlüssel mit 256 Bit würfeln möchte')],
    ['31 random bytes', binary.slice(1)],
    ['32 bytes of few values', new Uint8Array(32).fill(0xff)],
    ['63 hexadecimal digits of small letters', bytes('0123456789abcdef'.repeat(4).slice(1))],
    ['one digit, 64 times', bytes('1'.repeat(64))],
    ['42 base64 digits', bytes(BASE64.slice(1))],
    [
      'a passphrase in UTF-16, as PowerShell writes it',
      new Uint8Array(Buffer.from('\ufeffcorrect horse battery', 'utf16le')),
    ],
    ['Cyrillic in UTF-16 without a mark', new Uint8Array(Buffer.from('Широка страна моя родная', 'utf16le'))],
    ['a sentence in ISO 8859-1', new Uint8Array(Buffer.from('Über allen Gipfeln ist Ruh, in allen', 'latin1'))],
    ['a repeated word in ISO 8859-1', new Uint8Array(Buffer.from('Früh übt sich'.repeat(5), 'latin1'))],
    ['hexadecimal digits that count', bytes('0123456789abcdef'.repeat(4))],
    ['the hexadecimal of letters', bytes(Buffer.from('abcdefghijklmnopqrstuvwxyz123456').toString('hex'))],
    ['bytes that count', Uint8Array.from({ length: 64 }, (_, i) => 128 + i)],
    ['bytes that count in sevens', Uint8Array.from({ length: 32 }, (_, i) => 255 - 7 * i)],
    ...[
      'CorrectHorseBatteryStaple2026CorrectHorseBattery',
      'MyVeryLongPassphraseThatILikeBecauseItHasWords2026',
      'IlikeToEatPizzaOnFridaysInTheParkWithAnnaAndBob1',
      'JohnSmith1985LondonEngland-JohnSmith1985_London',
      'Correct-Horse-Battery-Staple-2026-Green-Apple-9',
      'my_Very_long_passphrase_that_nobody_guesses_1',
      '/home/Alice/Documents/2026/TopSecret/keyfile/the/key',
      'TheQuickBrownFoxJumpsOverTheLazyDog42TheEnd2026x',
      'DerSchnelleBrauneFuchsSpringtUeberDenFaulenHund7',
      'LeVifRenardBrunSauteParDessusLeChienParesseux12',
      'Th1sIsMyL33tP4ssw0rdF0rTh3S3rv3rInTh3B4s3m3ntR00m',
    ].map((text): [string, Uint8Array] => [`words with numbers or signs: ${text}`, bytes(text)]),
    ['an alphabet', bytes('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789')],
    ['the rows of a keyboard', bytes('qwertyuiopasdfghjklzxcvbnmQWERTYUIOPASDFGHJKLZXCVBNM1234567890')],
    ['the columns of a keyboard', bytes('1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0pQAZWSXEDCRFV')],
    ['digits of pi', bytes('3141592653589793238462643383279502884197169399375105820974944592')],
    ['dates', bytes('1968010119700229198511091989110919991231200109112020022920261129')],
    ['hexadecimal words', bytes('deadbeefcafebabefeedfacebadc0ffee0ddf00d1337c0dedefec8edfacade00')],
    [
      'a sentence between two bytes',
      new Uint8Array(Buffer.from('\x01Jackdaws love my big sphinx of Quartz, 1984.\xff', 'latin1')),
    ],
    [
      'a sentence in KOI8-R',
      new Uint8Array(
        Buffer.from('fbc9d2cfcbc120d3d4d2c1cec120cdcfd120d2cfc4cec1d1cdcecfc7cf20', 'hex').map((byte) => byte | 0x80),
      ),
    ],
    ['a program', new Uint8Array(fs.readFileSync(process.execPath).subarray(0, 1 << 20))],
    ['a picture', new Uint8Array(PNG)],
    ['a picture and random bytes', new Uint8Array(Buffer.concat([PNG.subarray(0, 33), RANDOM, RANDOM]))],
    ['the base64 of words', bytes(Buffer.from('Correct Horse Battery Staple 1 and more').toString('base64'))],
  ])('takes Argon2id for %s', (_name, key) => {
    expect(chooseKdf(key)).toEqual({
      kdf: { type: 'argon2id', time: 4, memory: 65536, cpus: 4 },
      why: 'the key may be a passphrase, and guessing one must cost',
    });
  });

  const [phrase, random] = [bytes('correct horse'), bytes(BASE64)];
  it.each([
    ['pbkdf2 for a passphrase', phrase, { type: 'pbkdf2' }, { type: 'pbkdf2', iterations: 600_000 }],
    ['pbkdf2 for a random key', random, { type: 'pbkdf2' }, LEAST],
    ['iterations', phrase, { type: 'pbkdf2', iterations: 1234 }, { type: 'pbkdf2', iterations: 1234 }],
    ['argon2id', random, { type: 'argon2id' }, { type: 'argon2id', time: 4, memory: 65536, cpus: 4 }],
    [
      'argon2id with costs',
      random,
      { type: 'argon2id', iterations: 5, memory: 1 << 20, lanes: 1 },
      { type: 'argon2id', time: 5, memory: 1 << 20, cpus: 1 },
    ],
  ] as const)('does what is wished: %s', (_name, key, wish, kdf) => {
    const { why } = chooseKdf(key);
    expect(chooseKdf(key, wish)).toEqual({ kdf, why: `as it was asked for; ${why}` });
  });

  it.each([
    [{ type: 'pbkdf2', memory: 64 }, 'pbkdf2 has neither memory nor lanes: only its iterations cost'],
    [{ type: 'pbkdf2', lanes: 1 }, 'pbkdf2 has neither memory nor lanes: only its iterations cost'],
    [
      { type: 'pbkdf2', iterations: 100_000_001 },
      'the key derivation asks for 100000001 iterations of PBKDF2, more than the limit of 100000000',
    ],
    [
      { type: 'argon2id', memory: (1 << 20) + 1 },
      'the key derivation asks for 1048577 KiB of memory for Argon2, more than the limit of 1048576',
    ],
  ] as const)('refuses %o, which nothing here would open again', (wish, message) => {
    expect(failure(() => chooseKdf(phrase, wish))).toMatchObject({ kind: 'usage', message });
  });

  // The same keys each time; each form is taken for made up once in 87,000 keys at most.
  const forms: Record<string, (key: Buffer) => Uint8Array> = {
    bytes: (key) => new Uint8Array(key),
    'base64 with padding': (key) => bytes(key.toString('base64')),
    'base64 without padding': (key) => bytes(key.toString('base64').replace(/=+$/, '')),
    'base64 and a line break': (key) => bytes(`${key.toString('base64')}\n`),
    'base64 of URLs': (key) => bytes(key.toString('base64url')),
    'small hexadecimal digits': (key) => bytes(key.toString('hex')),
    'large hexadecimal digits': (key) => bytes(key.toString('hex').toUpperCase()),
  };
  const everyForm = Object.keys(forms).flatMap((form) => [32, 48, 64].map((length) => [length, form] as const));
  it.each(everyForm)('knows 2000 random keys of %i bytes in the form of %s', (length, form) => {
    for (let i = 0; i < 2000; i++) {
      const key = createHash('sha512').update(`${length} ${i}`).digest().subarray(0, length);
      const { type } = chooseKdf(forms[form]?.(key) ?? key).kdf;
      expect(type, key.toString('hex')).toBe('pbkdf2');
    }
  });

  it.each([512, 4096, 1 << 20])('knows %i random bytes', (length) => {
    const key = createCipheriv('aes-256-ctr', RANDOM, Buffer.alloc(16)).update(Buffer.alloc(length));
    expect(chooseKdf(new Uint8Array(key)).kdf.type).toBe('pbkdf2');
  });
});

describe('endsInNewline', () => {
  it.each([
    ['text', bytes('word'), false],
    ['text with a line break', bytes('word\n'), true],
    ['text with a line break within', bytes('two\nwords'), false],
    ['text that is no ASCII', bytes('Wört\n'), true],
    ['bytes', Uint8Array.of(0xff, 0xfe, 0x0a), false],
    ['nothing', new Uint8Array(0), false],
  ])('of %s', (_name, key, expected) => {
    expect(endsInNewline(key)).toBe(expected);
  });
});
