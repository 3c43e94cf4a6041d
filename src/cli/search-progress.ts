/** @module What is said while the API version of a launch is searched for: nothing, unless many digests make it long. */
import type { OnTries } from '../core/measurement/api-search.ts';
import { type Io, remark } from './io.ts';
import { duration, ERASE } from './progress.ts';

/** Searches of fewer tries end within about two seconds. */
const LONG = 2 ** 19;

const FASTER = '--api-major, --api-minor and --build-id leave one try for each digest';

/** Does `search`; a long one is announced once, with `about` it, and on a terminal a line says how far it is. */
export function withSearchProgress<T>(io: Io, search: (onTries: OnTries) => T, about = FASTER): T {
  let first: { readonly done: number; readonly ms: number } | undefined;
  let told = false;
  const onTries: OnTries = (done, total) => {
    if (total < LONG) return;
    const ms = io.now().getTime();
    first ??= { done, ms };
    if (done === first.done) return;
    const left = duration(((total - done) * (ms - first.ms)) / (done - first.done) / 1000);
    if (!told) remark(io, 'note', `${total} digests with versions are tried, which may take ${left}; ${about}`);
    told = true;
    if (io.stderr.isTTY) io.stderr.write(`${ERASE}searching ${Math.floor((done / total) * 100)} %  ${left} left`);
  };
  try {
    return search(onTries);
  } finally {
    if (told && io.stderr.isTTY) io.stderr.write(ERASE);
  }
}
