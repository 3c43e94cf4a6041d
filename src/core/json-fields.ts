/** @module Objects in JSON whose keys are not known before each is looked at. */

/** What an object holds; `Object.hasOwn` tells what was written from what every object has. */
export type JsonFields = Readonly<Record<string, unknown>>;

/** Tells whether a value of JSON is an object: neither null nor a list. */
export function isObject(value: unknown): value is JsonFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns the object that `text` is; undefined for other values and for what is no JSON. */
export function parseObject(text: string): JsonFields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
