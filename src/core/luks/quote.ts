/** @module Names out of hostile headers, made fit for a terminal. */

const MAX = 64;

/** Returns the start of `text` in double quotes, with everything but printable ASCII escaped as in JSON. */
export function quoted(text: string): string {
  const cut = JSON.stringify(text.slice(0, MAX));
  return cut.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
