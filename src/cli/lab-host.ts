/** @module The untrusted host of a demonstration: `lab up` in the same process, and its guest as far as it can be seen from outside. */
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { QmpClient } from '../host/qmp/client.ts';
import { kindOf, OWN_COMMAND } from './inner-run.ts';
import type { Stage } from './lab-stage.ts';

/** A guest that waits for its owner. */
export interface WaitingGuest {
  /** What the platform measured, in base64. */
  readonly measurement: string;
  /** Done when the guest has powered off; throws `tool` when it did not. `lines` are what it printed. */
  readonly ended: Promise<{ readonly lines: readonly string[] }>;
  /** Ends it. */
  quit(): Promise<void>;
}

/** Name of the QMP socket in the folder of a demonstration. */
export const QMP = 'qmp.sock';

/** Runs `lab up` until its guest waits; `onLine` takes what the guest prints. Throws `tool` when it ends before. */
export function startGuest(
  stage: Stage,
  folder: string,
  words: readonly string[],
  onLine: (line: string) => void,
): Promise<WaitingGuest> {
  return new Promise((resolve, reject) => {
    const shown = { stdout: '', stderr: '' };
    const lines: string[] = [];
    let measurement = '';
    const failure = (status: number) => {
      const { message, hint } = lastError(shown.stderr);
      const console = lines.length === 0 ? [] : [`its console ended with: ${lines.slice(-5).join(' | ')}`];
      return new BootsealError(kindOf(status), `the guest of the lab ended with status ${status}: ${message}`, {
        hint: [...(hint === undefined ? [] : [hint]), ...console].join('; ') || OWN_COMMAND,
      });
    };
    const take = (text: string) => {
      const event = JSON.parse(text) as { event: string; line?: string; measurement?: string };
      if (event.event === 'paused') measurement = event.measurement ?? '';
      if (event.event === 'console') {
        lines.push(event.line ?? '');
        onLine(event.line ?? '');
      }
      if (event.event !== 'waiting') return;
      resolve({
        measurement,
        ended: running.then((status) => (status === 0 ? { lines } : Promise.reject(failure(status)))),
        async quit() {
          const client = await QmpClient.connect(path.join(folder, QMP));
          // QEMU may be gone before it has answered.
          await client.execute('quit').catch(() => undefined);
          client.close();
          await running;
        },
      });
    };
    const running = stage.start([...words, '--json'], shown, take);
    running.then((status) => reject(failure(status)), reject);
  });
}

/** What `lab up --json` said last on standard error: its error, or whatever stands there instead. */
function lastError(stderr: string): { readonly message: string; readonly hint?: string } {
  const line = stderr.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{"error":')) return { message: stderr.trim() };
  return (JSON.parse(line) as { error: { message: string; hint?: string } }).error;
}
