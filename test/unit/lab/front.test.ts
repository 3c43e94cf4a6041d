import * as net from 'node:net';
import * as path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Front, openFront } from '../../../src/lab/front.ts';
import { QmpFailure } from '../../../src/lab/qmp-input.ts';
import { scratch } from '../../cli/script.ts';
import { type Answer, fakeQemu, listen } from '../../fake-qmp.ts';

const { folder, remove } = scratch();
afterAll(remove);
let number = 0;
let front: Front;
let closeQemu: () => Promise<void>;
let listensAt: string;
let seen: string[];
let continued: number;
let refusal: string | undefined;

beforeEach(async () => {
  number++;
  listensAt = path.join(folder, `front${number}`);
  const upstream = path.join(folder, `qemu${number}`);
  seen = [];
  continued = 0;
  refusal = undefined;
  const answer = (command: string): Answer => (command === 'die' ? 'hang up' : { return: { real: command } });
  closeQemu = await listen(upstream, fakeQemu(answer, seen));
  front = await openFront({
    path: listensAt,
    upstream,
    commands: new Map<string, (args: Readonly<Record<string, unknown>>) => unknown>([
      ['query-sev', (args) => ({ lab: true, args })],
      ['nothing', () => undefined],
      [
        'break',
        () => {
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        },
      ],
      [
        'fail',
        () => {
          throw new QmpFailure('SEV: in words');
        },
      ],
    ]),
    beforeCont: () => {
      continued++;
      if (refusal !== undefined) throw new QmpFailure(refusal);
    },
  });
});
afterEach(async () => {
  await front.close();
  await closeQemu();
});

it('does not listen where the path is longer than a socket can have, in bytes', async () => {
  const open = (name: string) =>
    openFront({ path: name, upstream: 'x', commands: new Map(), beforeCont: () => undefined });
  const at = (size: number) => `${folder}/${'x'.repeat(size - folder.length - 1)}`;
  await (await open(at(107))).close();
  await expect(open(at(108))).rejects.toMatchObject({ kind: 'usage', message: expect.stringContaining('not 108') });
  await expect(open(at(106).replace(/..$/, 'éé'))).rejects.toMatchObject({ kind: 'usage' });
});

/** Sends texts and returns the lines that come back, up to `count` or the end of the connection. */
function talk(texts: readonly string[], count: number): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const socket = net.createConnection({ path: listensAt });
    let got = '';
    const lines = () => got.split('\r\n').slice(0, -1);
    const done = () => {
      socket.destroy();
      resolve(lines().map((line) => JSON.parse(line)));
    };
    socket.on('data', (bytes) => {
      got += bytes.toString();
      if (lines().length >= count) done();
    });
    socket.on('close', done);
    socket.on('error', reject);
    for (const text of texts) socket.write(text);
  });
}
const NEGOTIATE = '{"execute":"qmp_capabilities"}';

describe('the front', () => {
  it('lets the real QEMU greet, negotiate and answer, and answers for SEV itself, in order and with ids', async () => {
    const answers = await talk(
      [
        `${NEGOTIATE}{"execute":"query-status","id":1}`,
        '{"execute":"query-sev","id":{"a":2},"arg',
        'uments":{"x":3}}\n{"execute":"nothing"}',
        '{"execute":"query-kvm"}',
      ],
      6,
    );
    expect(answers).toEqual([
      expect.objectContaining({ QMP: expect.anything() }),
      { return: {} },
      { return: { real: 'query-status' }, id: 1 },
      { return: { lab: true, args: { x: 3 } }, id: { a: 2 } },
      { return: {} },
      { return: { real: 'query-kvm' } },
    ]);
    expect(seen).toEqual(['qmp_capabilities', 'query-status', 'query-kvm']);
  });

  it('answers nothing itself before the negotiation', async () => {
    const answers = await talk(['{"execute":"query-sev"}'], 2);
    expect(answers[1]).toEqual({ return: { real: 'query-sev' } });
  });

  it("gives failures in QEMU's form, bad arguments too", async () => {
    const answers = await talk([NEGOTIATE, '{"execute":"fail","id":7}', '{"execute":"query-sev","arguments":[1]}'], 4);
    expect(answers.slice(2)).toEqual([
      { error: { class: 'GenericError', desc: 'SEV: in words' }, id: 7 },
      { error: { class: 'GenericError', desc: "QMP input member 'arguments' must be an object" } },
    ]);
  });

  it('hears of cont before the real QEMU does, and can refuse it', async () => {
    expect((await talk([NEGOTIATE, '{"execute":"cont"}'], 3))[2]).toEqual({ return: { real: 'cont' } });
    expect(continued).toBe(1);
    refusal = 'not yet';
    expect((await talk([NEGOTIATE, '{"execute":"cont","id":"x"}'], 3))[2]).toEqual({
      error: { class: 'GenericError', desc: 'not yet' },
      id: 'x',
    });
    expect(seen.filter((command) => command === 'cont')).toHaveLength(1);
  });

  it('takes strings in single quotes, as QEMU does, and passes them on as JSON', async () => {
    const texts = [
      "{'execute':'query-sev','id':'a\"b\\'{','arguments':{\"it's\":1}}",
      "{'execute':'query-status','id':\"a'\\'}\"}",
      String.raw`{"execute":'query-sev',"id":"\\"}`,
    ];
    const answers = await talk([NEGOTIATE, ...texts], 5);
    expect(answers.slice(2)).toEqual([
      { return: { lab: true, args: { "it's": 1 } }, id: 'a"b\'{' },
      { return: { real: 'query-status' }, id: "a''}" },
      { return: { lab: true, args: {} }, id: '\\' },
    ]);
  });

  it.each([
    ['"extra":1,', "QMP input member 'extra' is unexpected"],
    ['"toString":1,', "QMP input member 'toString' is unexpected"],
    ['"__proto__":{"a":1},', "QMP input member '__proto__' is unexpected"],
    ['"exec-oob":"query-sev",', "QMP input member 'exec-oob' is unexpected"],
    ['"arguments":null,', "QMP input member 'arguments' must be an object"],
  ])('refuses %s as QEMU does', async (member, desc) => {
    for (const execute of ['query-sev', 'cont']) {
      const answers = await talk([NEGOTIATE, `{"execute":"${execute}",${member}"id":{"__proto__":3}}`], 3);
      expect(JSON.stringify(answers[2])).toBe(
        JSON.stringify({ error: { class: 'GenericError', desc } }).replace(/}$/, ',"id":{"__proto__":3}}'),
      );
    }
    expect(continued).toBe(0);
  });

  it('does not tell the platform of a cont that QEMU refuses', async () => {
    const answers = await talk([NEGOTIATE, '{"execute":"cont","arguments":{"__proto__":1},"id":1}'], 3);
    const desc = "Parameter '__proto__' is unexpected";
    expect(answers[2]).toEqual({ error: { class: 'GenericError', desc }, id: 1 });
    const twice = await talk([NEGOTIATE, '{"execute":"x","execute":"cont"}'], 3);
    expect(twice[2]).toEqual({ error: { class: 'GenericError', desc: 'JSON parse error, duplicate key' } });
    expect(continued).toBe(0);
    expect(seen.filter((command) => command !== 'qmp_capabilities')).toEqual([]);
    // The same name in two objects is none twice.
    const nested = '{"execute":"query-sev","arguments":{"execute":{"id":1},"id":[{"id":1},{"id":2}]},"id":":"}';
    expect((await talk([NEGOTIATE, nested], 3))[2]).toMatchObject({ return: { lab: true }, id: ':' });
  });

  it('passes on names that objects of its own language have', async () => {
    const names = ['toString', '__proto__', 'constructor', 'hasOwnProperty'];
    const answers = await talk([NEGOTIATE, ...names.map((name) => JSON.stringify({ execute: name }))], 6);
    expect(answers.slice(2)).toEqual(names.map((name) => ({ return: { real: name } })));
  });

  it('lets a client send as far ahead as it likes, and answers everything in order', async () => {
    const count = 3000;
    const texts = Array.from({ length: count }, (_, id) => `{"execute":"query-sev","id":${id}}`);
    const answers = await talk([NEGOTIATE, texts.join('')], count + 2);
    expect(answers.slice(2).map((answer) => (answer as { id?: number }).id)).toEqual(texts.map((_, id) => id));
  });

  it('answers also what it did not expect itself, and goes on', async () => {
    const answers = await talk([NEGOTIATE, '{"execute":"break","id":1}{"execute":"query-sev"}'], 4);
    expect(answers.slice(2)).toMatchObject([
      { error: { class: 'GenericError', desc: expect.stringContaining('no space left') }, id: 1 },
      { return: { lab: true } },
    ]);
  });

  it.each(['nonsense', '{"execute":}', '[]', '5', "'x'", '{]', '}', '{"execute":"query-sev', "{'execute':'a\tb'}"])(
    'goes on after %s',
    async (text) => {
      const answers = await talk([NEGOTIATE, `${text}\n`, '{"execute":"query-sev"}'], 4);
      expect(answers[2]).toMatchObject({ error: { class: 'GenericError', desc: expect.stringContaining('JSON') } });
      expect(answers[3]).toMatchObject({ return: { lab: true } });
    },
  );

  it.each([
    ['a giant line', `{"execute":"${'x'.repeat(1 << 20)}`, 'more than 1048576 bytes'],
    ['a giant line that is no JSON', 'x'.repeat((1 << 20) + 1), 'more than 1048576 bytes'],
    ['a deep one', '['.repeat(65), 'nested more than 64 deep'],
  ])('lets go of a client that sends %s, and serves the next', async (_, text, message) => {
    const answers = await talk([NEGOTIATE, text], 99);
    expect(answers.at(-1)).toMatchObject({ error: { desc: expect.stringContaining(message) } });
    expect((await talk([NEGOTIATE, '{"execute":"query-sev"}'], 3))[2]).toMatchObject({ return: { lab: true } });
  });

  it('lets go of its client when the real QEMU has gone', async () => {
    expect(await talk([NEGOTIATE, '{"execute":"die"}{"execute":"query-sev"}'], 9)).toHaveLength(2);
  });

  it('serves one client after another, and lets a client that leaves early go', async () => {
    const early = net.createConnection({ path: listensAt });
    await new Promise<void>((resolve) => early.once('data', () => resolve()));
    const second = talk([NEGOTIATE, '{"execute":"query-sev"}'], 3);
    early.write('{"execute":"qmp_cap');
    early.destroy();
    expect((await second)[2]).toMatchObject({ return: { lab: true } });
  });
});
