/** @module The fields of a launch description, taken out of a tree of texts one by one; what is left over at the end is refused. */
import { BootsealError } from '../errors.ts';
import { isObject } from '../json-fields.ts';

/** A mapping whose values are texts, lists or mappings, as a YAML reader gives it when it guesses no types. */
export class Fields {
  readonly #where: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #left: Set<string>;

  /** Throws `format` when `value` is no mapping. */
  constructor(value: unknown, where: string) {
    if (!isObject(value)) throw wrong(where, 'a mapping is needed');
    this.#where = where;
    this.#values = value;
    this.#left = new Set(Object.keys(value));
  }

  #take(key: string): unknown {
    this.#left.delete(key);
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }

  /** Returns the name of a key, for messages. */
  at(key: string): string {
    return `${this.#where}${key}`;
  }

  /** Returns a text; throws `format` when it is missing, empty, no text, or holds a control character. */
  text(key: string): string {
    return this.optionalText(key) ?? fail(this.at(key), 'it is missing');
  }

  /** As {@link text}, but the key may be missing. */
  optionalText(key: string): string | undefined {
    const value = this.#take(key);
    return value === undefined ? undefined : checkText(value, this.at(key));
  }

  /** Returns the items of a list, or those of a text between its commas. */
  list(key: string): string[] | undefined {
    const value = this.#take(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) return checkText(value, this.at(key)).split(',');
    return value.map((item: unknown) => checkText(item, this.at(key)));
  }

  /** Returns a number of digits; throws `format` outside the range. */
  number(key: string, least: number, most: number): number | undefined {
    const text = this.optionalText(key);
    if (text === undefined) return undefined;
    const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw wrong(this.at(key), `a number from ${least} to ${most} is needed`);
  }

  /** Returns one of `choices`. */
  choice<const C extends string>(key: string, choices: readonly C[]): C | undefined {
    const text = this.optionalText(key);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw wrong(this.at(key), `it is one of ${choices.join(', ')}`);
    return found;
  }

  /** Returns a mapping below this one. */
  mapping(key: string): Fields | undefined {
    const value = this.#take(key);
    return value === undefined ? undefined : new Fields(value, `${this.at(key)}.`);
  }

  /** Returns every key with its text, for mappings whose keys are free. */
  entries(): [string, string][] {
    return [...this.#left].map((key) => [key, this.text(key)]);
  }

  /** Throws `format` when a key was not asked for: a slip in an optional key would otherwise change the launch silently. */
  end(known: readonly string[]): void {
    const [unknown] = this.#left;
    if (unknown === undefined) return;
    throw new BootsealError('format', `${this.#where}: unknown key ${JSON.stringify(unknown.slice(0, 64))}`, {
      hint: `the keys are ${known.join(', ')}`,
    });
  }
}

const CONTROL = /\p{Cc}/u;

function checkText(value: unknown, where: string): string {
  if (typeof value !== 'string') throw wrong(where, 'a text is needed');
  if (value === '') throw wrong(where, 'it is empty');
  if (CONTROL.test(value)) throw wrong(where, 'it holds a control character');
  return value;
}

function fail(where: string, reason: string): never {
  throw wrong(where, reason);
}

const HINT = 'docs/launch.md says what every key takes';

/** Returns the refusal of a key; `where` is its name. */
export const wrong = (where: string, reason: string, hint = HINT): BootsealError =>
  new BootsealError('format', `${where}: ${reason}`, { hint });
