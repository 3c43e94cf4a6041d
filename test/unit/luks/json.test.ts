import { describe, expect, it } from 'vitest';
import { isArray, isObject, parseJson, printJson, toJson } from '../../../src/core/luks/metadata/json.ts';
import { failure } from '../../failure.ts';

describe('parseJson', () => {
  it('reads every kind of value', () => {
    const value = parseJson('{"a": [1, -2, true, false, null, "x\\u00e9\\n", {}, []], "b" : {"c":"" }}');
    expect(value).toEqual(
      new Map<string, unknown>([
        ['a', [1, -2, true, false, null, 'xé\n', new Map(), []]],
        ['b', new Map([['c', '']])],
      ]),
    );
    expect(parseJson(' \t\r\n7')).toBe(7);
  });

  it('tells integers from fractions and keeps integers that a double cannot', () => {
    expect(parseJson('9007199254740991')).toBe(9007199254740991);
    expect(parseJson('9007199254740992')).toBe(9007199254740992n);
    expect(parseJson('[512.0,1e3,-1.5E-2,0]')).toEqual([
      { fraction: '512.0' },
      { fraction: '1e3' },
      { fraction: '-1.5E-2' },
      0,
    ]);
  });

  it.each([
    ['', 'no value at character 0'],
    ['{', 'a string is missing at character 1'],
    ['{"a"', 'a colon is missing at character 4'],
    ['{"a" 1}', 'a colon is missing at character 5'],
    ['{"a":1', 'an object does not end at character 6'],
    ['{"a":1,}', 'a string is missing at character 7'],
    ['[1', 'an array does not end at character 2'],
    ['[1,]', 'no value at character 3'],
    ['{}x', 'something follows the value at character 2'],
    ['{} ', 'something follows the value at character 2'],
    ['{"a":1,"a":2}', 'the key "a" stands twice at character 10'],
    ["{'a':1}", 'a string is missing at character 1'],
    ['"a\nb"', 'a string that does not end or holds what it may not at character 0'],
    ['["a\\"]', 'a string that does not end or holds what it may not at character 1'],
    ['["\\x41"]', 'a string that does not end or holds what it may not at character 1'],
    ['{"a\\u0000b":1}', 'a string with a NUL in it at character 1'],
    ['["\\u0000"]', 'a string with a NUL in it at character 1'],
    ['[01]', 'an array does not end at character 2'],
    ['[+1]', 'no value at character 1'],
    ['[NaN]', 'no value at character 1'],
    ['[.5]', 'no value at character 1'],
    [`[${'1'.repeat(40)}]`, 'a number that is too long at character 1'],
    ['/* c */ {}', 'no value at character 0'],
  ])('refuses %j', (text, message) => {
    expect(failure(() => parseJson(text))).toMatchObject({ kind: 'format', message: `JSON: ${message}` });
  });

  it('reads a number of 39 digits', () => {
    expect(parseJson('1'.repeat(39))).toBe(BigInt('1'.repeat(39)));
  });

  it('bounds depth and number of values', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(printJson(parseJson(nested(32)))).toBe(nested(32));
    expect(failure(() => parseJson(nested(33))).message).toBe('JSON: nested deeper than 32 at character 32');
    expect(failure(() => parseJson('{"a":'.repeat(33))).message).toMatch('nested deeper than 32');
    const many = (count: number) => `[${Array.from({ length: count }, () => 0).join(',')}]`;
    expect(parseJson(many(65535))).toHaveLength(65535);
    expect(failure(() => parseJson(many(65536))).message).toMatch('JSON: more than 65536 values at character');
  });

  it('does not stumble over megabytes', () => {
    for (const text of ['['.repeat(4 << 20), `"${'\\\\'.repeat(2 << 20)}`, '1'.repeat(4 << 20), '"'.repeat(4 << 20)]) {
      expect(failure(() => parseJson(text)).kind).toBe('format');
    }
    expect(parseJson(`${' '.repeat(4 << 20)}"${'a'.repeat(1 << 20)}"`)).toHaveLength(1 << 20);
  });
});

describe('printJson', () => {
  it('prints what was read as it stood', () => {
    const text = '{"b":1,"a":[true,null,"\\n\\u0001",1.50,12345678901234567890],"10":{},"2":false}';
    expect(printJson(parseJson(text))).toBe(text);
  });

  it('prints what was made of plain values', () => {
    expect(printJson(toJson({ a: { b: [1, 'x', null, true] } }))).toBe('{"a":{"b":[1,"x",null,true]}}');
    expect(printJson(toJson(['x']))).toBe('["x"]');
  });
});

it('isObject and isArray tell values apart', () => {
  expect([isObject(toJson({})), isObject([]), isObject({ fraction: '1.0' }), isObject(undefined)]).toEqual([
    true,
    false,
    false,
    false,
  ]);
  expect([isArray([]), isArray(toJson({})), isArray('')]).toEqual([true, false, false]);
});
