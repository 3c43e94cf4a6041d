/**
 * @module The protocol between a container runtime and a key provider that it runs as a command: JSON on standard input and output
 * (containers/ocicrypt docs/keyprovider.md). Go writes bytes as base64, Rust as arrays of numbers; both are read, arrays are
 * written, since Rust reads nothing else.
 */
import { base64ToBytes } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import { isObject } from '../json-fields.ts';
import { jsonObject } from './kbs-keys.ts';

/** Returns the annotation of the layer whose key is to be unwrapped. Throws `format`; `usage` for a request to wrap. */
export function parseUnwrapRequest(json: Uint8Array): Uint8Array {
  const { op, keyunwrapparams: params } = jsonObject(json, 'key provider request', REQUEST_HINT) as {
    readonly op?: unknown;
    readonly keyunwrapparams?: unknown;
  };
  if (op === 'keywrap') {
    throw new BootsealError('usage', 'key provider: layers are not encrypted here, only their keys unwrapped', {
      hint: 'encrypt the image on a machine of yours, with the key provider of Confidential Containers',
    });
  }
  if (op !== 'keyunwrap') throw refusal('its op is not keyunwrap');
  if (!isObject(params)) throw refusal('it has no keyunwrapparams');
  return bytesOf(params['annotation']);
}

function bytesOf(value: unknown): Uint8Array {
  if (typeof value === 'string') {
    try {
      return base64ToBytes(value);
    } catch {
      throw refusal('its annotation is not base64');
    }
  }
  if (Array.isArray(value) && value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256)) {
    return Uint8Array.from(value as number[]);
  }
  throw refusal('it has no annotation');
}

/** Returns the answer with the unwrapped key. */
export function printUnwrapAnswer(unwrapped: Uint8Array): string {
  return `{"keyunwrapresults":{"optsdata":[${unwrapped.join(',')}]}}`;
}

const REQUEST_HINT = 'let ocicrypt start the command as a key provider: it writes the request';

const refusal = (reason: string): BootsealError =>
  new BootsealError('format', `key provider request: ${reason}`, { hint: REQUEST_HINT });
