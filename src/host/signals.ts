/** @module Ctrl-C and `kill` during work that must clean up after itself. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work`. A signal aborts its `stop`; when the work has ended, clean, the process ends by that same signal, as its parent
 * expects (status 130 or 143 in a shell).
 */
export async function withSignals<T>(work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    received ??= signal;
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    // Without a handler the signal does what it always does.
    if (received !== undefined) process.kill(process.pid, received);
  }
}
