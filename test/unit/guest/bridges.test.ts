import { createCipheriv, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseKbsKeys, printKbsKeys, resourcePath } from '../../../src/core/guest/kbs-keys.ts';
import { parseKeyPacket, unwrapKeyPacket } from '../../../src/core/guest/key-packet.ts';
import { parseUnwrapRequest, printUnwrapAnswer } from '../../../src/core/guest/key-provider.ts';
import { failure, HINT, hinted } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';

const ascii = (text: string) => new Uint8Array(Buffer.from(text));
const json = (value: unknown) => ascii(JSON.stringify(value));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

/** The key that the image quay.io/kata-containers/encrypted-image-tests:encrypted is encrypted with, public. */
const sample = vectors<{ offline_sev_kbc: { example: { kid: string; key_b64: string } } }>('secret.json')
  .offline_sev_kbc.example;

/** An annotation as the key provider of guest-components documents it (attestation-agent/coco_keyprovider/README.md). */
const documented = {
  kid: 'kbs:///default/key/key_id1',
  wrapped_data:
    '3EgQbw6CRV4bik2sK3tkMJpycVWDUeuHcYngWkdWu+K0AzCPf7tYBCZ1HlWialfgEtD1t0nssva/5hIEmLOmvcarvHiMtDrDIacRHtINLqrQJBeF53d813u/GC+zk/tGxAweWze4uKEQ8mjshr3+bbYwEHJuQr3ugqiWE9g5HguMGVeEgfQydvu/SfeX2fRy4PZkFr8VnD7Z4k5HWVHZMf4SmhIHaRyUkShOpxuWPpnx9oHhbR0GJwfpoyxO4rtJXi2885qgU2kGUhZ6E2Snh+A=',
  iv: '4ezLbeMQdEkY/iuF',
  wrap_type: 'A256GCM',
};

describe('resourcePath', () => {
  it.each([
    ['default/key/key_id1', 'default/key/key_id1'],
    ['/default/key/key_id1', 'default/key/key_id1'],
    ['kbs:///default/key/key_id1', 'default/key/key_id1'],
    ['kbs://10.0.0.1:8080/default/key/1', 'default/key/1'],
    ['10.0.0.1:8080/a/b/c', 'a/b/c'],
    ['key_id1', 'default/key/key_id1'],
    ['a/b/c', 'a/b/c'],
  ])('of %s', (kid, path) => {
    expect(resourcePath(kid)).toBe(path);
  });
  it.each([
    '',
    '/',
    'a/b',
    'a/b/c/d/e',
    'kbs:///a/b',
    'kbs:///x/a/b/c',
    'a//c',
    '../../etc/x',
    'a/../c',
    'a b',
    'kbs://',
    '.a',
    'http://x/a/b/c',
  ])('refuses %j', (kid) => {
    expect(failure(() => resourcePath(kid))).toMatchObject({
      kind: 'format',
      hint: HINT,
      message: 'a key id is neither a word nor of the form repository/type/tag',
    });
  });
});

const TWICE = 'a name stands twice in it, or it has more values than any such text';

describe('keys', () => {
  it('become the file of offline_fs_kbc', () => {
    const keys = parseKbsKeys(json({ 'kbs:///b/key/2': 'AAE=', [sample.kid]: sample.key_b64 }));
    expect(printKbsKeys(keys)).toBe(`{\n  "b/key/2": "AAE=",\n  "default/key/key_id1": "${sample.key_b64}"\n}\n`);
    expect(keys.get('default/key/key_id1')?.length).toBe(32);
  });
  it('may have blanks and newlines around it', () => {
    expect(parseKbsKeys(ascii(' {\n "a" : "AA==" }\r\n\t')).get('default/key/a')).toEqual(Uint8Array.of(0));
  });
  it('may end in a NUL', () => {
    expect(parseKbsKeys(ascii('{"a":"AA=="}\0')).get('default/key/a')).toEqual(Uint8Array.of(0));
  });
  it.each<[string, Uint8Array, string]>([
    ['no JSON', ascii('{"secret-key'), 'keys: no JSON'],
    ['no UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 'keys: no JSON'],
    ['two NULs', ascii('{}\0\0'), 'keys: no JSON'],
    ['a list', json(['AA==']), 'keys: no JSON object'],
    ['null', json(null), 'keys: no JSON object'],
    ['a text', json('AA=='), 'keys: no JSON object'],
    ['nothing', new Uint8Array(0), 'keys: no JSON'],
    ['a number', json({ a: 1 }), 'keys: the key default/key/a is no text'],
    ['no base64', json({ a: 'secret-key!' }), 'keys: the key default/key/a is not base64'],
    ['one key twice', json({ a: 'AA==', 'default/key/a': 'AA==' }), 'keys: two keys for default/key/a'],
    ['one id twice', ascii('{"a":"AAAA","a":"BBBB"}'), `keys: ${TWICE}`],
    ['one id twice in two spellings of JSON', ascii('{"a":"AAAA","\\u0061":"BBBB"}'), `keys: ${TWICE}`],
    ['an empty key', json({ a: '' }), 'keys: the key default/key/a is empty'],
  ])('refuses %s and repeats nothing of it', (_, bytes, message) => {
    expect(failure(() => parseKbsKeys(bytes))).toEqual({ kind: 'format', message, hint: HINT });
  });
});

describe('the wrapped key of a layer', () => {
  const key = randomBytes(32);
  const plain = ascii('{"symkey":"…","cipheroptions":{"nonce":"…"}}');
  const wrap = (type: 'gcm' | 'ctr', iv: Uint8Array): Uint8Array => {
    if (type === 'ctr') {
      const cipher = createCipheriv('aes-256-ctr', key, iv);
      return Buffer.concat([cipher.update(plain), cipher.final()]);
    }
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };
  const packet = (type: 'gcm' | 'ctr', iv = randomBytes(type === 'gcm' ? 12 : 16)) =>
    json({
      kid: 'kbs:///a/b/c',
      wrapped_data: base64(wrap(type, iv)),
      iv: base64(iv),
      wrap_type: `A256${type.toUpperCase()}`,
    });

  it('is read as documented', () => {
    const read = parseKeyPacket(json(documented));
    expect(read).toMatchObject({ path: 'default/key/key_id1', wrapType: 'A256GCM' });
    expect(read.iv.length).toBe(12);
    expect(read.wrapped.length).toBe(209);
    // The example's key is not public; this is another one.
    expect(failure(() => unwrapKeyPacket(read, Buffer.from(sample.key_b64, 'base64')))).toEqual({
      kind: 'key',
      message: "the key default/key/key_id1 does not unwrap this layer's key",
      hint: HINT,
    });
  });

  it.each(['gcm', 'ctr'] as const)('is unwrapped: %s of node:crypto', (type) => {
    expect(unwrapKeyPacket(parseKeyPacket(packet(type)), key)).toEqual(plain);
  });

  it('of version 2 is read too', () => {
    const two = { ...documented, version: '0.1.0', provider: 'x', provider_settings: {}, annotations: {} };
    expect(parseKeyPacket(json(two))).toEqual(parseKeyPacket(json(documented)));
    const { wrap_type: _, ...without } = documented;
    expect(parseKeyPacket(json(without)).wrapType).toBe('A256GCM');
  });

  it.each([31, 33, 0])('needs a key of 32 bytes, not %i', (size) => {
    expect(failure(() => unwrapKeyPacket(parseKeyPacket(packet('ctr')), new Uint8Array(size)))).toMatchObject({
      kind: 'key',
      hint: HINT,
    });
  });

  it.each<[string, object, string]>([
    ['no kid', { kid: undefined }, 'key packet: it has no kid'],
    ['a strange kid', { kid: 'a/b' }, 'a key id is neither a word nor of the form repository/type/tag'],
    ['no data', { wrapped_data: undefined }, 'key packet: it has no wrapped_data'],
    ['data that are not base64', { wrapped_data: '!' }, 'key packet: its wrapped_data is not base64'],
    ['a tag alone', { wrapped_data: base64(new Uint8Array(16)) }, 'key packet: its wrapped_data are too short'],
    [
      'empty data',
      { wrapped_data: '', wrap_type: 'A256CTR', iv: base64(new Uint8Array(16)) },
      'key packet: its wrapped_data are too short',
    ],
    ['no iv', { iv: 5 }, 'key packet: it has no iv'],
    ['a long iv', { iv: base64(new Uint8Array(16)) }, 'key packet: its iv has 16 bytes, A256GCM takes 12'],
    ['a short iv', { wrap_type: 'A256CTR' }, 'key packet: its iv has 12 bytes, A256CTR takes 16'],
    ['another wrap type', { wrap_type: 'none' }, 'key packet: its wrap_type is neither A256GCM nor A256CTR'],
  ])('refuses %s', (_, over, message) => {
    expect(failure(() => parseKeyPacket(json({ ...documented, ...over })))).toMatchObject({
      kind: 'format',
      hint: HINT,
      message,
    });
  });
});

describe('the protocol of key providers', () => {
  const annotation = json(documented);
  /** As Go writes it. */
  const request = {
    op: 'keyunwrap',
    keywrapparams: { ec: null, optsdata: null },
    keyunwrapparams: {
      dc: { Parameters: { 'attestation-agent': [base64(ascii('offline_fs_kbc::null'))] } },
      annotation: base64(annotation),
    },
  };
  const unwrap = (params: unknown) => ({ op: 'keyunwrap', keyunwrapparams: params });

  it('gives the annotation, from Go and from Rust', () => {
    expect(parseUnwrapRequest(json(request))).toEqual(annotation);
    expect(parseUnwrapRequest(json(unwrap({ annotation: [...annotation] })))).toEqual(annotation);
  });
  it('answers with an array of bytes', () => {
    expect(printUnwrapAnswer(Uint8Array.of(0, 7, 255))).toBe('{"keyunwrapresults":{"optsdata":[0,7,255]}}');
  });
  it.each<[string, unknown, string]>([
    ['another op', { op: 'x' }, 'key provider request: its op is not keyunwrap'],
    ['no parameters', { op: 'keyunwrap' }, 'key provider request: it has no keyunwrapparams'],
    ['null for them', unwrap(null), 'key provider request: it has no keyunwrapparams'],
    ['no annotation', unwrap({}), 'key provider request: it has no annotation'],
    [
      'an annotation that is no base64',
      unwrap({ annotation: '!' }),
      'key provider request: its annotation is not base64',
    ],
    ['a number that is no byte', unwrap({ annotation: [256] }), 'key provider request: it has no annotation'],
    ['one below zero', unwrap({ annotation: [-1] }), 'key provider request: it has no annotation'],
    ['half a byte', unwrap({ annotation: [0.5] }), 'key provider request: it has no annotation'],
    ['a list', [], 'key provider request: no JSON object'],
  ])('refuses %s', (_, value, message) => {
    expect(failure(() => parseUnwrapRequest(json(value)))).toMatchObject({ kind: 'format', hint: HINT, message });
  });
  it('refuses a field twice, whose second value another reader may not take', () => {
    const twice = JSON.stringify(unwrap({ annotation: 'AA==' })).replace('}}', ',"annotation":"AQ=="}}');
    expect(failure(() => parseUnwrapRequest(ascii(twice)))).toMatchObject({
      kind: 'format',
      hint: HINT,
      message: `key provider request: ${TWICE}`,
    });
    const packet = JSON.stringify(documented).replace('}', ',"kid":"kbs:///a/b/c"}');
    expect(failure(() => parseKeyPacket(ascii(packet)))).toMatchObject({
      kind: 'format',
      hint: HINT,
      message: `key packet: ${TWICE}`,
    });
  });
  it('does not wrap', () => {
    expect(failure(() => parseUnwrapRequest(json({ op: 'keywrap' })))).toMatchObject({ kind: 'usage', hint: HINT });
  });

  it('survives anything', () => {
    void fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.json().map(ascii)), (bytes) => {
        for (const parse of [parseUnwrapRequest, parseKeyPacket, parseKbsKeys]) {
          try {
            parse(bytes);
          } catch (error) {
            hinted(error);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
