import { expect, it } from 'vitest';
import { startGuest } from '../../../src/cli/lab-host.ts';
import type { Stage } from '../../../src/cli/lab-stage.ts';
import { HINT } from '../../failure.ts';

/** A stage whose `lab up` prints this and ends. */
function stage(status: number, stderr: string, ...lines: string[]): Stage {
  const start: Stage['start'] = async (_words, printed, take) => {
    for (const line of lines) take?.(JSON.stringify({ event: 'console', line }));
    printed.stderr += stderr;
    return status;
  };
  return { start } as Stage;
}
const failureOf = (...given: Parameters<typeof stage>) =>
  startGuest(stage(...given), '/', ['lab', 'up'], () => undefined).catch((error: unknown) => error);
const said = (message: string, hint?: string) =>
  `bootseal: note: before\n${JSON.stringify({ error: { kind: 'io', message, hint } })}\n`;

it('hands on what the guest of a demonstration failed of, and what to do about it', async () => {
  expect(await failureOf(5, said('QEMU failed (ended by SIGBUS): name=\\"x', 'make room in TMPDIR'))).toMatchObject({
    kind: 'io',
    message: 'the guest of the lab ended with status 5: QEMU failed (ended by SIGBUS): name=\\"x',
    hint: 'make room in TMPDIR',
  });
});

it('adds the end of its console when there is one', async () => {
  const lines = ['1', '2', '3', '4', '5', '6'];
  expect(await failureOf(6, said('it went off', 'look'), ...lines)).toMatchObject({
    kind: 'tool',
    hint: 'look; its console ended with: 2 | 3 | 4 | 5 | 6',
  });
});

it('keeps what is no such report, and is never without a hint', async () => {
  expect(await failureOf(70, 'bootseal: bug: x')).toMatchObject({
    message: 'the guest of the lab ended with status 70: bootseal: bug: x',
    hint: HINT,
  });
});
