import { describe, expect, it } from 'vitest';
import { checkApi, isBelow, isLegacy, printApi } from '../../../src/core/measurement/api-version.ts';
import { api } from '../../launch-record.ts';

describe('API versions', () => {
  it.each([
    ['0.16.255', '0.17.0', true],
    ['0.17.0', '0.17.0', false],
    ['0.17.0', '0.17.1', true],
    ['0.255.255', '1.0.0', true],
    ['1.0.0', '0.255.255', false],
    ['1.2.3', '1.10.0', true],
  ])('%s is below %s: %s', (a, b, below) => {
    expect(isBelow(api(a), api(b))).toBe(below);
  });

  it('calls everything before 0.17 legacy', () => {
    expect(isLegacy(api('0.16.255'))).toBe(true);
    expect(isLegacy(api('0.17.0'))).toBe(false);
    expect(isLegacy(api('1.0.0'))).toBe(false);
  });

  it('prints all three numbers', () => {
    expect(printApi(api('1.55.24'))).toBe('1.55.24');
  });

  it('accepts bytes only', () => {
    expect(checkApi(api('255.0.255'))).toEqual({ major: 255, minor: 0, build: 255 });
    for (const [text, name] of [
      ['256.0.0', 'major 256'],
      ['0.256.0', 'minor 256'],
      ['0.0.256', 'build 256'],
    ] as const) {
      expect(() => checkApi(api(text))).toThrow(
        expect.objectContaining({ kind: 'usage', message: `API ${name} is not a number from 0 to 255` }),
      );
    }
  });
});
