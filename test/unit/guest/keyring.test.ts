import { describe, expect, it } from 'vitest';
import { BootsealError } from '../../../src/core/errors.ts';
import type { Luks2Header } from '../../../src/core/luks/luks2.ts';
import { toJson } from '../../../src/core/luks/metadata/json.ts';
import { OWN_COPY } from '../../../src/core/luks/own-copy.ts';
import type { Guest } from '../../../src/guest/guest.ts';
import {
  addKey,
  checkDescription,
  checkKeyring,
  hasKey,
  instantiateKey,
  linkIntoSession,
  type NewKey,
  rejectKey,
  removeKey,
  requestKey,
} from '../../../src/guest/keyring.ts';
import { answerRequest, parseBackend, type RequestRule } from '../../../src/guest/request-key.ts';
import { findKeyringToken, openWithToken } from '../../../src/guest/unlock.ts';
import { FailedProgram } from '../../../src/host/program.ts';
import { failure, HINT } from '../../failure.ts';
import { DISK } from '../../guest-tree.ts';

interface Call {
  readonly args: string;
  readonly input: string;
}

/** A guest whose keyctl answers as `answer` says, and what it was asked. */
function keyctl(answer: (args: readonly string[]) => string = () => '4711\n'): { guest: Guest; calls: Call[] } {
  const calls: Call[] = [];
  const guest: Guest = {
    root: '/',
    isRootUser: true,
    async run(program, { args }, input = '') {
      expect(program.name).toBe('keyctl');
      calls.push({ args: args.join(' '), input: Buffer.from(input).toString() });
      return { stdout: answer(args) };
    },
  };
  return { guest, calls };
}

const fails =
  (verb: string, error: BootsealError = new FailedProgram('keyctl', 1, ': no')) =>
  (args: readonly string[]) => {
    if (args[0] === verb) throw error;
    return '4711\n';
  };

const notInstalled = new BootsealError('tool', 'keyctl is not installed', { hint: 'install it' });

const secret = new Uint8Array(Buffer.from('correct horse'));
const key: NewKey = { type: 'user', description: 'bootseal:disk', keyring: '@u' };

describe('addKey', () => {
  it('gives the payload to standard input, and sets the limits after', async () => {
    const { guest, calls } = keyctl();
    expect(await addKey(guest, { ...key, timeout: 60, permissions: 0x3f010000 }, secret)).toBe('4711');
    expect(calls).toEqual([
      { args: 'padd user bootseal:disk @u', input: 'correct horse' },
      { args: 'timeout 4711 60', input: '' },
      { args: 'setperm 4711 0x3f010000', input: '' },
    ]);
  });

  it('removes the key when a limit cannot be set', async () => {
    for (const verb of ['timeout', 'setperm']) {
      const { guest, calls } = keyctl(fails(verb));
      await expect(addKey(guest, { ...key, timeout: 1, permissions: 1 }, secret)).rejects.toMatchObject({
        kind: 'tool',
        hint: HINT,
      });
      expect(calls.slice(-2).map(({ args }) => args)).toEqual(['revoke 4711', 'unlink 4711 @u']);
    }
  });

  it('wants a number from keyctl', async () => {
    for (const printed of ['', 'hello', '0', '-1', '1 2']) {
      await expect(addKey(keyctl(() => printed).guest, key, secret)).rejects.toMatchObject({
        kind: 'tool',
        hint: HINT,
      });
    }
  });

  it.each([0, 32768])('refuses %i bytes', async (size) => {
    const { guest, calls } = keyctl();
    await expect(addKey(guest, key, new Uint8Array(size))).rejects.toMatchObject({ kind: 'usage', hint: HINT });
    expect(calls).toEqual([]);
  });

  it('takes 32767 bytes', async () => {
    expect(await addKey(keyctl().guest, key, new Uint8Array(32767))).toBe('4711');
  });
});

describe('descriptions and keyrings', () => {
  it.each(['', 'a\0b', 'x'.repeat(4096)])('refuses the description %j', (text) => {
    expect(failure(() => checkDescription('user', text))).toMatchObject({ kind: 'usage', hint: HINT });
  });
  it.each(['disk', ':disk'])('refuses %j for a logon key', (text) => {
    expect(failure(() => checkDescription('logon', text))).toMatchObject({ kind: 'usage', hint: HINT });
    expect(() => checkDescription('user', text)).not.toThrow();
  });
  it('takes the longest, and a logon key with a name before the colon', () => {
    expect(() => checkDescription('user', 'x'.repeat(4095))).not.toThrow();
    expect(() => checkDescription('logon', 'a:b')).not.toThrow();
  });
  it.each(['@u', '@us', '@s', '1', '4294967295'])('takes %s', (keyring) => {
    expect(() => checkKeyring(keyring)).not.toThrow();
  });
  it.each(['@t', '@p', '', '0', '-3', '@', 'u', '12345678901'])('refuses %j', (keyring) => {
    expect(failure(() => checkKeyring(keyring))).toMatchObject({ kind: 'usage', hint: HINT });
  });
});

describe('other uses of keyctl', () => {
  it('asks, links, looks and removes', async () => {
    const { guest, calls } = keyctl();
    expect(await requestKey(guest, 'user', 'a:b', 'efi:x')).toBe('4711');
    await linkIntoSession(guest, '4711');
    expect(await hasKey(guest, 'user', 'a:b')).toBe(true);
    await removeKey(guest, '4711', '@u');
    await rejectKey(guest, '5', 30);
    expect(calls.map(({ args }) => args)).toEqual([
      'request2 user a:b efi:x @u',
      'link 4711 @s',
      'search @u user a:b',
      'revoke 4711',
      'unlink 4711 @u',
      'reject 5 30 rejected 0',
    ]);
  });
  it('takes a refusal for one', async () => {
    const { guest, calls } = keyctl(fails('search'));
    expect(await hasKey(guest, 'user', 'a:b')).toBe(false);
    expect(calls.map(({ args }) => args)).toEqual(['search @u user a:b', 'search @s user a:b']);
    await linkIntoSession(keyctl(fails('link')).guest, '1');
    await removeKey(keyctl(fails('unlink')).guest, '1', '@u');
    await expect(removeKey(keyctl(fails('revoke')).guest, '1', '@u')).rejects.toMatchObject({
      kind: 'tool',
      hint: HINT,
    });
    await expect(requestKey(keyctl(fails('request2')).guest, 'user', 'a:b', '')).rejects.toMatchObject({
      kind: 'key',
      hint: HINT,
    });
    await expect(requestKey(keyctl(fails('request2', notInstalled)).guest, 'user', 'a:b', '')).rejects.toMatchObject({
      kind: 'tool',
      hint: HINT,
    });
    await expect(requestKey(keyctl(() => 'x').guest, 'user', 'a:b', '')).rejects.toMatchObject({
      kind: 'tool',
      hint: HINT,
    });
  });
  it('looks for no key that cannot be', async () => {
    const { guest, calls } = keyctl();
    await expect(hasKey(guest, 'user', 'a\0b')).rejects.toMatchObject({ kind: 'usage', hint: HINT });
    expect(calls).toEqual([]);
  });
  it('limits a key before it has its value', async () => {
    const { guest, calls } = keyctl();
    await instantiateKey(guest, '9', secret, { timeout: 5, permissions: 0x3f000000 });
    expect(calls).toEqual([
      { args: 'timeout 9 5', input: '' },
      { args: 'setperm 9 0x3f000000', input: '' },
      { args: 'pinstantiate 9 0', input: 'correct horse' },
    ]);
  });
});

describe('openWithToken', () => {
  const token = { id: 0, description: 'bootseal:disk' };
  const opening = { device: '/dev/vda', header: '/run/header', name: 'root', token, readonly: false };
  it.each(['@u', '@s'])('neither uses nor displaces a key of that description in %s', async (keyring) => {
    const { guest, calls } = keyctl((args) => {
      if (args[0] === 'search' && args[1] !== keyring) throw new FailedProgram('keyctl', 1, ': no');
      return '4711\n';
    });
    await expect(openWithToken(guest, opening, { value: secret })).rejects.toMatchObject({ kind: 'usage', hint: HINT });
    expect(calls.filter(({ args }) => !args.startsWith('search '))).toEqual([]);
  });
});

describe('what cryptsetup ends with', () => {
  const token = { id: 0, description: 'bootseal:disk' };
  const opening = { device: '/dev/vda', header: '/run/header', name: 'root', token, readonly: false };
  const noMapper = ': Cannot initialize device-mapper. Is dm_mod kernel module loaded?; Cannot use device root';

  it.each<[string, number, string, object]>([
    ['another key', 2, '', { kind: 'key', message: expect.stringContaining('does not open the disk'), hint: HINT }],
    ['no device-mapper', 1, noMapper, { kind: 'tool', message: `cryptsetup failed (status 1)${noMapper}` }],
    ['a name in use', 5, ': Device root already exists.', { kind: 'tool', message: expect.stringContaining('exists') }],
  ])('is the verdict on %s', async (_, status, words, expected) => {
    const calls: string[] = [];
    const guest: Guest = {
      root: '/',
      isRootUser: true,
      async run({ name }, { args }) {
        calls.push(`${name} ${args[0]}`);
        if (name === 'cryptsetup') throw new FailedProgram(name, status, words);
        if (args[0] === 'search') throw new FailedProgram(name, 1, ': no');
        return { stdout: '4711\n' };
      },
    };
    await expect(openWithToken(guest, opening, { value: secret })).rejects.toMatchObject(expected);
    expect(calls.slice(-3)).toEqual(['cryptsetup open', 'keyctl revoke', 'keyctl unlink']);
  });
});

describe('findKeyringToken', () => {
  const metadata = (...names: string[]) =>
    ({
      current: {
        metadata: {
          tokens: names.map((name, id) => ({
            id,
            type: 'luks2-keyring',
            keyslots: [0],
            json: toJson({ type: 'luks2-keyring', keyslots: ['0'], key_description: name }),
          })),
        },
      },
    }) as unknown as Luks2Header;

  it.each([
    ['with a NUL', 'a\nb\0c'],
    ['that is a NUL', '\0'],
    ['of 4096 letters', 'x'.repeat(4096)],
    ['of 4096 bytes', 'ä'.repeat(2048)],
  ])('refuses a description %s by its token', (_, name) => {
    expect(failure(() => findKeyringToken(metadata('a:b', name), 1))).toEqual({
      kind: 'format',
      message: 'tokens.1: the description of a key has 1 to 4095 bytes, and no NUL',
      hint: OWN_COPY.hint,
    });
    expect(findKeyringToken(metadata('a:b', name), 0)).toEqual({ id: 0, description: 'a:b' });
  });
  it('takes the longest', () => {
    const name = 'x'.repeat(4095);
    expect(findKeyringToken(metadata(name), undefined)).toEqual({ id: 0, description: name });
  });
});

describe('parseBackend', () => {
  it('reads both forms', () => {
    expect(parseBackend('efi:disk-passphrase')).toEqual({ type: 'efi', guid: DISK });
    expect(parseBackend(`efi:${DISK.toUpperCase()}`)).toEqual({ type: 'efi', guid: DISK });
    expect(parseBackend('file:/run/a,b=c')).toEqual({ type: 'file', path: '/run/a,b=c' });
  });
  it.each(['', 'efi:', 'efi:hello', 'file:', 'file:relative', 'file:/a\0b', '/run/key', 'http://x', DISK])(
    'refuses %j without repeating it',
    (text) => {
      const { kind, message } = failure(() => parseBackend(text));
      expect(kind).toBe('usage');
      if (text.length > 5) expect(message).not.toContain(text);
    },
  );
});

describe('answerRequest', () => {
  const rule: RequestRule = { uids: [0], from: undefined, timeout: 60 };
  const request = { key: '99', uid: 0, callout: 'efi:disk-passphrase' };
  const given = () => new Uint8Array(secret);
  const read = async () => given();

  it('makes the key that is asked for, and wipes what it read', async () => {
    const { guest, calls } = keyctl();
    const value = given();
    expect(await answerRequest(guest, request, rule, async () => value)).toEqual({ type: 'efi', guid: DISK });
    expect(calls.map(({ args }) => args)).toEqual(['timeout 99 60', 'pinstantiate 99 0']);
    expect(calls[1]?.input).toBe('correct horse');
    expect(value.every((byte) => byte === 0)).toBe(true);
  });

  it.each<[string, object, Partial<RequestRule>]>([
    ['another user', { uid: 1000 }, {}],
    ['root where only another user may', { uid: 0 }, { uids: [1000] }],
    ['a file named by a user who is let in', { uid: 1000, callout: 'file:/etc/shadow' }, { uids: [0, 1000] }],
    ['a callout that names nothing', { callout: '' }, {}],
    ['a callout that names something else', { callout: '--help' }, {}],
  ])('refuses %s, and reads nothing', async (_, asked, over) => {
    const { guest, calls } = keyctl();
    let reads = 0;
    const counted = async () => {
      reads++;
      return given();
    };
    const answered = answerRequest(guest, { ...request, ...asked }, { ...rule, ...over }, counted);
    await expect(answered).rejects.toMatchObject({ kind: 'usage', hint: HINT });
    expect(reads).toBe(0);
    expect(calls.map(({ args }) => args)).toEqual(['reject 99 30 rejected 0']);
  });

  it('does not look at the callout where the rule names the source', async () => {
    const { guest } = keyctl();
    const from = parseBackend('file:/run/key');
    const wanted = { ...request, uid: 1000, callout: 'file:/etc/shadow' };
    expect(await answerRequest(guest, wanted, { ...rule, uids: [1000], from }, read)).toEqual(from);
  });

  it('lets a user who may ask name a secret, and root a file', async () => {
    const { guest } = keyctl();
    expect(await answerRequest(guest, { ...request, uid: 1000 }, { ...rule, uids: [1000] }, read)).toMatchObject({
      type: 'efi',
    });
    expect(await answerRequest(guest, { ...request, callout: 'file:/k' }, rule, read)).toMatchObject({ type: 'file' });
  });

  it('refuses the key when it cannot be read or made, and says why', async () => {
    const missing = keyctl();
    await expect(
      answerRequest(missing.guest, request, rule, () =>
        Promise.reject(new BootsealError('io', 'gone', { hint: 'look for it' })),
      ),
    ).rejects.toThrow('gone');
    expect(missing.calls.map(({ args }) => args)).toEqual(['reject 99 30 rejected 0']);
    const failing = keyctl(fails('pinstantiate'));
    await expect(answerRequest(failing.guest, request, rule, read)).rejects.toMatchObject({ kind: 'tool', hint: HINT });
    expect(failing.calls.at(-1)?.args).toBe('reject 99 30 rejected 0');
    const empty = keyctl();
    await expect(answerRequest(empty.guest, request, rule, async () => new Uint8Array(0))).rejects.toMatchObject({
      kind: 'usage',
      hint: HINT,
    });
    // The first failure is the one that counts.
    const dead = keyctl(() => {
      throw notInstalled;
    });
    await expect(answerRequest(dead.guest, { ...request, uid: 5 }, rule, read)).rejects.toMatchObject({
      kind: 'usage',
      hint: HINT,
    });
  });

  it.each(['', '0', '-1', 'x', '1 2', '@u'])('refuses the key number %j', async (number) => {
    const { guest, calls } = keyctl();
    await expect(answerRequest(guest, { ...request, key: number }, rule, read)).rejects.toMatchObject({
      kind: 'usage',
      hint: HINT,
    });
    expect(calls).toEqual([]);
  });
});
