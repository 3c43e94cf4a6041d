/** @module Ctrl-C and `kill` during work that must clean up after itself. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** As a shell has it for a process that SIGQUIT has ended. */
const STATUS_QUIT = 131;

/** Those of the work that is going on. */
const running = new Set<AbortSignal>();

/**
 * Runs `work`. A signal aborts its `stop`; when the work has ended, clean, the process ends by that same signal, as its parent
 * expects (status 130 or 143 in a shell), but for SIGQUIT: that would write a core, with all keys that were in
 * memory, so the process ends with status 131 instead.
 */
export async function withSignals<T>(work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    received ??= signal;
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  running.add(controller.signal);
  try {
    return await work(controller.signal);
  } finally {
    running.delete(controller.signal);
    for (const signal of SIGNALS) process.off(signal, onSignal);
    if (received === 'SIGQUIT' && process.listenerCount(received) === 0) process.exit(STATUS_QUIT);
    // Without a handler the signal does what it always does.
    if (received !== undefined) process.kill(process.pid, received);
  }
}

/**
 * Waits for what may never come, such as bytes of a pipe that nobody writes to. A signal that arrives during withSignals ends the
 * waiting, which then throws the reason of its `stop`; what was waited for goes on, and ends with the process.
 */
export async function unlessStopped<T>(wait: Promise<T>): Promise<T> {
  const stops = [...running];
  let cancel: (() => void) | undefined;
  const stopped = new Promise<never>((_, reject) => {
    const check = () => {
      const stop = stops.find(({ aborted }) => aborted);
      if (stop !== undefined) reject(stop.reason);
    };
    for (const stop of stops) stop.addEventListener('abort', check);
    cancel = () => {
      for (const stop of stops) stop.removeEventListener('abort', check);
    };
    check();
  });
  try {
    return await Promise.race([wait, stopped]);
  } finally {
    cancel?.();
  }
}
