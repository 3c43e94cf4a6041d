import * as path from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { parseObject } from '../../../src/core/json-fields.ts';
import { QmpClient, QmpRefusal } from '../../../src/host/qmp/client.ts';
import { JsonStream } from '../../../src/host/qmp/json-stream.ts';
import { scratch } from '../../cli/script.ts';
import { hinted } from '../../failure.ts';
import { type Answer, fakeQemu, GREETING, listen } from '../../fake-qmp.ts';

const { folder, remove } = scratch();
afterAll(remove);
let close: (() => Promise<void>) | undefined;
afterEach(async () => {
  await close?.();
  close = undefined;
});

let sockets = 0;
async function serve(talk: Parameters<typeof listen>[1]): Promise<string> {
  const name = path.join(folder, `s${sockets++}`);
  close = await listen(name, talk);
  return name;
}
it('connects to no other socket when the path is longer than a socket can have', async () => {
  const at = (size: number) => `${folder}/${'x'.repeat(size - folder.length - 1)}`;
  close = await listen(
    at(107),
    fakeQemu(() => ({ return: {} })),
  );
  (await QmpClient.connect(at(107))).close();
  await expect(QmpClient.connect(at(108))).rejects.toMatchObject({
    kind: 'usage',
    message: expect.stringContaining('not 108'),
  });
});

const failure = async (work: Promise<unknown>) => work.then(() => Promise.reject(new Error('it did not fail')), hinted);

describe('JsonStream', () => {
  const feed = (text: string, limit = 1000) => new JsonStream('x', limit).feed(Buffer.from(text));

  it('finds objects with and without line ends, and what is none', () => {
    expect(feed('{"a":1}{"b":[2,{}]}\r\n {"c":"}\\"{"} \n')).toEqual([
      { kind: 'json', text: '{"a":1}' },
      { kind: 'json', text: '{"b":[2,{}]}' },
      { kind: 'json', text: '{"c":"}\\"{"}' },
    ]);
    expect(feed('nonsense {"a":1}\n{"b":2}')).toEqual([
      { kind: 'garbage', text: 'nonsense {"a":1}\n' },
      { kind: 'json', text: '{"b":2}' },
    ]);
    expect(feed('}}}\n[1]')).toEqual([
      { kind: 'garbage', text: '}}}\n' },
      { kind: 'json', text: '[1]' },
    ]);
    expect(feed('{"a"')).toEqual([]);
  });

  it('bounds size and depth', () => {
    expect(() => feed(`{"a":"${'x'.repeat(991)}"}`)).not.toThrow();
    expect(() => feed(`{"a":"${'x'.repeat(993)}"}`)).toThrow('more than 1000 bytes');
    expect(() => feed('x'.repeat(1001))).toThrow('more than 1000 bytes');
    expect(() => feed('[{'.repeat(32))).not.toThrow();
    expect(() => feed(`${'[{'.repeat(32)}[`)).toThrow('nested more than 64 deep');
  });

  it('finds the same pieces however the bytes arrive', () => {
    const text = fc.oneof(
      fc.json(),
      fc.string(),
      fc.object().map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(fc.array(text), fc.array(fc.nat(40)), (texts, cuts) => {
        const bytes = Buffer.from(texts.join('\n'));
        const inPieces = () => {
          const stream = new JsonStream('x', 100_000);
          const found = [];
          let at = 0;
          for (const cut of cuts) {
            found.push(...stream.feed(bytes.subarray(at, at + cut)));
            at += cut;
          }
          return [...found, ...stream.feed(bytes.subarray(at))];
        };
        const outcome = (work: () => unknown) => {
          try {
            return work();
          } catch (error) {
            hinted(error);
            return 'refused';
          }
        };
        expect(outcome(inPieces)).toEqual(outcome(() => new JsonStream('x', 100_000).feed(bytes)));
      }),
    );
  });

  it.each(['1', '[]', 'null', '"x"', '{', '{"a":1,}', "{'a':1}"])('parseObject takes %s for no object', (text) => {
    expect(parseObject(text)).toBeUndefined();
  });
});

describe('QmpClient', () => {
  const answering = (answer: Answer, seen?: string[]) => serve(fakeQemu(() => answer, seen));

  it('negotiates, asks and is told of events', async () => {
    const events: unknown[] = [];
    const name = await serve((socket) => {
      fakeQemu(() => ({ return: { running: false } }))(socket);
      socket.write('{"event": "STOP", "data": {"x": 1}}\r\n');
    });
    const client = await QmpClient.connect(name, (event, data) => events.push([event, data]));
    expect(await client.execute('query-status', { a: 1 })).toEqual({ running: false });
    expect(events).toEqual([['STOP', { x: 1 }]]);
    expect(client.greeting).toMatchObject({ version: { qemu: { major: 7 } } });
    client.close();
  });

  it("tells QEMU's refusal from a lost connection", async () => {
    const refusing = await QmpClient.connect(await answering({ error: `no ${'x'.repeat(400)}` }));
    const refusal = await failure(refusing.execute('cont'));
    expect(refusal).toBeInstanceOf(QmpRefusal);
    expect(refusal).toMatchObject({ kind: 'tool', words: `no ${'x'.repeat(297)}` });
    refusing.close();
    await close?.();
    const leaving = await QmpClient.connect(await answering('hang up'));
    const lost = await failure(leaving.execute('cont'));
    expect(lost).not.toBeInstanceOf(QmpRefusal);
    expect(lost).toMatchObject({ kind: 'io', message: 'the connection to QEMU was lost before it answered cont' });
    expect(await failure(leaving.execute('cont'))).toMatchObject({ kind: 'io' });
  });

  it('says when nobody is there', async () => {
    expect(await failure(QmpClient.connect(path.join(folder, 'none')))).toMatchObject({
      kind: 'io',
      message: expect.stringContaining('there is no such socket'),
    });
  });

  it.each([
    ['no QMP', '{"hello": 1}\n', 'whoever answers is not QEMU'],
    ['no JSON', 'SSH-2.0-OpenSSH_9.2\r\n', 'no JSON object'],
    ['an answer without a question', `${GREETING}{"return": {}, "id": "bootseal-2"}\n`, 'an answer without a question'],
    ['an answer without an id', `${GREETING}{"return": {}}\n`, 'an answer without a question'],
    ['a message without end', `${GREETING}{"return": "${'x'.repeat(1 << 20)}`, 'more than 1048576 bytes'],
    ['a list', `${GREETING}[]\n`, 'no JSON object'],
  ])('refuses %s', async (_, text, message) => {
    const name = await serve((socket) => void socket.write(text));
    expect(await failure(QmpClient.connect(name))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
    });
  });

  it.each([null, 1, 'text', {}, { desc: 7 }])('takes the error %j for a refusal without a reason', async (error) => {
    const name = await serve((socket) => {
      socket.write(GREETING);
      socket.once('data', () => socket.write(`${JSON.stringify({ error, id: 'bootseal-1' })}\n`));
    });
    expect(await failure(QmpClient.connect(name))).toMatchObject({ kind: 'tool', words: 'no reason is given' });
  });
});
