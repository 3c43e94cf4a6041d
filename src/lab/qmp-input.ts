/**
 * @module What a QMP client says, read as QEMU reads it (qobject/json-parser.c, json-lexer.c; qapi/qmp-dispatch.c): JSON, in which strings
 * may also stand in single quotes, and no name twice; refused in QEMU's words.
 */

import { isObject, type JsonFields } from '../core/json-fields.ts';
import type { JsonPiece } from '../host/qmp/json-stream.ts';

/** Why a command fails, in QEMU's words. */
export class QmpFailure extends Error {}

/** A JSON object, with members of any name: `__proto__` is one as others are. */
export type Members = JsonFields;

/** A message, and the same as text in plain JSON. */
export interface QmpInput {
  readonly message: Members;
  readonly text: string;
}

/** Returns what a piece of a client's stream says. Throws {@link QmpFailure} for what QEMU does not take for a message. */
export function readInput(piece: JsonPiece): QmpInput {
  const text = plainJson(piece.text);
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    throw new QmpFailure('JSON parse error, expecting value');
  }
  if (!isObject(message)) throw new QmpFailure('QMP input must be a JSON object');
  if (hasNameTwice(text)) throw new QmpFailure('JSON parse error, duplicate key');
  return { message, text };
}

/** Returns the arguments of a command. Throws {@link QmpFailure} for a member that no command has, or arguments that are no object. */
export function argumentsOf(message: Members): Members {
  const unknown = Object.keys(message).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) throw new QmpFailure(`QMP input member '${unknown}' is unexpected`);
  const { arguments: args = {} } = message;
  if (isObject(args)) return args;
  throw new QmpFailure("QMP input member 'arguments' must be an object");
}

const MEMBERS = ['execute', 'arguments', 'id'];

const STRINGS = /"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*'/gs;

function plainJson(text: string): string {
  return text.replaceAll(STRINGS, (string) => {
    const inner = string.slice(1, -1).replaceAll(/\\.|"/gs, (part) => PARTS[part] ?? part);
    return `"${inner}"`;
  });
}

/** What is written otherwise between double quotes, where JSON knows no \'. */
const PARTS: Readonly<Record<string, string>> = { "\\'": "'", '"': '\\"' };

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g;

/** Says whether an object of a valid text has a name twice, of which JSON.parse would keep the last. */
function hasNameTwice(text: string): boolean {
  const objects: Set<unknown>[] = [];
  let before = '';
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') objects.push(new Set());
    else if (token === '}' || token === ']') objects.pop();
    else if (token === ':') {
      const [names, name] = [objects.at(-1), JSON.parse(before)];
      if (names?.has(name)) return true;
      names?.add(name);
    }
    before = token;
  }
  return false;
}
