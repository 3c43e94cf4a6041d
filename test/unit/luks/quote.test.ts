import { expect, it } from 'vitest';
import { quoted } from '../../../src/core/luks/quote.ts';

it('quoted escapes all but printable ASCII and cuts', () => {
  expect(quoted('a "b" \\ ~')).toBe('"a \\"b\\" \\\\ ~"');
  expect(quoted('\u001b\n\u007f\u009bé\u202e😀')).toBe('"\\u001b\\n\\u007f\\u009b\\u00e9\\u202e\\ud83d\\ude00"');
  expect(quoted('x'.repeat(65))).toBe(`"${'x'.repeat(64)}"`);
});
