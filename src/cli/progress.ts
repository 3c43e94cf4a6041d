/** @module The line on a terminal that says how far long work has come; nothing is written where nobody waits. */
import type { Io } from './io.ts';

/** A line that is rewritten and, at the end, erased. */
export interface Progress {
  /** Tells how many bytes are done. */
  show(done: number): void;
  end(): void;
}

const MIB = 2 ** 20;
/** Empties the line. */
export const ERASE = '\r\u001b[K';

/** Returns the progress of work on `total` bytes; it starts now. */
export function progressOf(io: Io, what: string, total: number): Progress {
  if (!io.stderr.isTTY) return { show() {}, end() {} };
  const start = io.now().getTime();
  return {
    show(done) {
      const seconds = (io.now().getTime() - start) / 1000;
      io.stderr.write(`${ERASE}${progressLine(what, done, total, seconds)}`);
    },
    end: () => io.stderr.write(ERASE),
  };
}

/** Returns the line: share, bytes, rate, and the time that is left. */
export function progressLine(what: string, done: number, total: number, seconds: number): string {
  const percent = `${Math.floor((done / total) * 100)}`.padStart(3);
  const amount = `${what} ${percent} %  ${mebibytes(done)} of ${mebibytes(total)} MiB`;
  if (done === 0 || seconds <= 0) return amount;
  const rate = done / seconds;
  return `${amount}  ${mebibytes(rate)} MiB/s  ${duration((total - done) / rate)} left`;
}

const mebibytes = (bytes: number): string => (bytes / MIB).toFixed(0);

/** Returns a time as people say it, rounded up to whole seconds. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const [minutes, hours] = [Math.floor(whole / 60), Math.floor(whole / 3600)];
  return hours === 0 ? `${minutes} min ${whole % 60} s` : `${hours} h ${minutes % 60} min`;
}
