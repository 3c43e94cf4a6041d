import { describe, expect, it } from 'vitest';
import { chooseMinimumApi } from '../../../src/core/session/minimum-api.ts';
import { failure } from '../../failure.ts';

describe('chooseMinimumApi', () => {
  it.each([
    [undefined, 0x1, 0, 17, 0],
    [undefined, 0x10000001, 0, 17, 0],
    [undefined, 0x11000001, 0, 17, 0],
    [undefined, 0x12000001, 0, 18, 0],
    [undefined, 0x37010001, 1, 55, 0],
    ['1.55', 0x1, 1, 55, 0],
    ['1.55.21', 0x1, 1, 55, 21],
    ['255.255.255', 0x1, 255, 255, 255],
    ['0.16', 0x1, 0, 16, 0],
    ['0.0.0', 0x1, 0, 0, 0],
    ['1.55', 0x37010001, 1, 55, 0],
    ['2.0', 0x37010001, 2, 0, 0],
  ])('%s with policy %i is %i.%i.%i', (text, policy, major, minor, build) => {
    expect(chooseMinimumApi(text, policy)).toEqual({ major, minor, build });
  });

  it.each([
    '',
    '1',
    '1.',
    '1.2.',
    '1.2.3.4',
    '256.0',
    '1.256',
    '1.2.256',
    '1.2.3 ',
    'v1.2',
    '-1.2',
    '1,2',
    '0x1.2',
    '1234.5',
  ])('refuses %j', (text) => {
    expect(failure(() => chooseMinimumApi(text, 1))).toEqual({
      kind: 'usage',
      message: `not an API version: ${JSON.stringify(text)}`,
      hint: expect.stringContaining('MAJOR.MINOR'),
    });
  });

  it('refuses less than the policy demands, which the platform would not start', () => {
    expect(failure(() => chooseMinimumApi('1.54.255', 0x37010001))).toEqual({
      kind: 'usage',
      message: 'the policy demands API 1.55, more than 1.54.255',
      hint: expect.stringContaining('bits 16-31'),
    });
  });
});
