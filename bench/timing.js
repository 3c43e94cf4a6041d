// Wall-clock times of programs that are run in turn, so that whatever else the machine does meets all of them alike.

/**
 * Runs every program once for warmth and then `rounds` times in turn; returns the times of each in milliseconds. One of the form
 * `{ before, run }` has something done before that is not counted.
 */
export function runInTurn(rounds, programs) {
  const times = Object.fromEntries(Object.keys(programs).map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, program] of Object.entries(programs)) {
      const { before, run } = typeof program === 'function' ? { run: program } : program;
      before?.();
      const start = process.hrtime.bigint();
      run();
      const ms = Number(process.hrtime.bigint() - start) / 1e6;
      if (round > 0) times[name].push(ms);
    }
  }
  return times;
}

/** Returns the middle value. */
export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Returns the least value. */
export function best(values) {
  return Math.min(...values);
}

/** Returns the middle of what the times of one program are to those of another in the same round. */
export function ratio(over, under) {
  return median(over.map((ms, i) => ms / under[i]));
}
