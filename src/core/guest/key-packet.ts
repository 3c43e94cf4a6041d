/**
 * @module The wrapped key of an encrypted image layer, as Confidential Containers' key provider writes it into the annotation
 * `org.opencontainers.image.enc.keys.provider.attestation-agent` (confidential-containers/guest-components
 * attestation-agent/coco_keyprovider).
 */
import { ctr, gcm } from '@noble/ciphers/aes.js';
import { base64ToBytes } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import { jsonObject, type ResourcePath, resourcePath } from './kbs-keys.ts';

/** A wrapped key. */
export interface KeyPacket {
  /** Which key unwraps it. */
  readonly path: ResourcePath;
  readonly wrapped: Uint8Array;
  readonly iv: Uint8Array;
  readonly wrapType: 'A256GCM' | 'A256CTR';
}

/** Bytes of the IV that each way of wrapping takes. */
const IV_SIZE = { A256GCM: 12, A256CTR: 16 } as const;

const KEY_SIZE = 32;
const TAG_SIZE = 16;

/** Reads a packet, of version 1 or 2. Throws `format`. */
export function parseKeyPacket(json: Uint8Array): KeyPacket {
  const {
    kid,
    wrapped_data: data,
    iv,
    wrap_type: wrapType = 'A256GCM',
  } = jsonObject(json, 'key packet', PACKET_HINT) as {
    readonly kid?: unknown;
    readonly wrapped_data?: unknown;
    readonly iv?: unknown;
    readonly wrap_type?: unknown;
  };
  if (typeof kid !== 'string') throw refusal('it has no kid');
  if (wrapType !== 'A256GCM' && wrapType !== 'A256CTR') throw refusal('its wrap_type is neither A256GCM nor A256CTR');
  const packet = {
    path: resourcePath(kid),
    wrapped: field(data, 'wrapped_data'),
    iv: field(iv, 'iv'),
    wrapType,
  } as const;
  if (packet.iv.length !== IV_SIZE[wrapType]) {
    throw refusal(`its iv has ${packet.iv.length} bytes, ${wrapType} takes ${IV_SIZE[wrapType]}`);
  }
  if (packet.wrapped.length === 0 || (wrapType === 'A256GCM' && packet.wrapped.length <= TAG_SIZE)) {
    throw refusal('its wrapped_data are too short');
  }
  return packet;
}

function field(value: unknown, name: string): Uint8Array {
  if (typeof value !== 'string') throw refusal(`it has no ${name}`);
  try {
    return base64ToBytes(value);
  } catch {
    throw refusal(`its ${name} is not base64`);
  }
}

/**
 * Returns what is wrapped.
 *
 * @throws `key` when the key is of another length or, for A256GCM, another one; A256CTR cannot tell
 */
export function unwrapKeyPacket({ path, wrapped, iv, wrapType }: KeyPacket, key: Uint8Array): Uint8Array {
  if (key.length !== KEY_SIZE)
    throw new BootsealError('key', `the key ${path} has ${key.length} bytes instead of ${KEY_SIZE}`, {
      hint: 'put the key into the secret that the image was encrypted with, in base64',
    });
  if (wrapType === 'A256CTR') return ctr(key, iv).decrypt(wrapped);
  try {
    return gcm(key, iv).decrypt(wrapped);
  } catch {
    throw new BootsealError('key', `the key ${path} does not unwrap this layer's key`, {
      hint: 'put the key into the secret that the image was encrypted with; if it is there, the image was changed',
    });
  }
}

const PACKET_HINT =
  'take the image as it was encrypted: its annotation was changed, or another key provider than that of Confidential Containers made it';

const refusal = (reason: string): BootsealError =>
  new BootsealError('format', `key packet: ${reason}`, { hint: PACKET_HINT });
