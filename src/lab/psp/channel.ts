/**
 * @module The trusted channel between owner and platform, at the platform's end: transport keys out of a session, and what comes
 * through afterwards (AMD SEV API 55766, sections 2.2 and 6; amd/AMD-ASPFW fw/psp_bl_uapps/sev_uapp/src/sev_channel.c and kdf.c).
 * All of it stands on node:crypto and on nothing of src/core, which it faces: a mistake there cannot cancel out here.
 */
import * as crypto from 'node:crypto';
import { FirmwareError } from './status.ts';

const CERTIFICATE_SIZE = 2084;
const SESSION_SIZE = 128;
/** Version 1; the GODH is marked as a PDH for ECDH with SHA-256, its key lies on P-384. */
const GODH_HEADER = { version: 1, usage: 0x1003, algorithm: 0x003, curve: 2 };
const COORDINATE = { x: 20, y: 92, size: 48 };

/** The keys of one launch; 16 bytes each. */
export interface Channel {
  readonly tek: Uint8Array;
  readonly tik: Uint8Array;
}

/** Returns HMAC-SHA256 of the parts one after another. */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  return crypto.createHmac('sha256', key).update(Buffer.concat(parts)).digest();
}

/** Returns a number as four bytes, little-endian. */
export function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

/** What the host hands over at LAUNCH_START. */
export interface OpenChannel {
  /** 2084 bytes. */
  readonly godh: Uint8Array;
  /** 128 bytes. */
  readonly session: Uint8Array;
  readonly policy: number;
}

/**
 * Returns the transport keys. Throws INVALID_LENGTH, INVALID_CERTIFICATE for a GODH that is none, BAD_MEASUREMENT when the session was
 * not wrapped for this PDH, was changed, or is for another policy.
 */
export function openChannel({ godh, session, policy }: OpenChannel, pdhKey: Uint8Array): Channel {
  const refuse = (status: 'INVALID_LENGTH' | 'INVALID_CERTIFICATE' | 'BAD_MEASUREMENT'): never => {
    throw new FirmwareError('LAUNCH_START', status);
  };
  if (session.length !== SESSION_SIZE || godh.length !== CERTIFICATE_SIZE) return refuse('INVALID_LENGTH');
  const shared = agree(Buffer.from(godh), pdhKey) ?? refuse('INVALID_CERTIFICATE');
  const part = (from: number, to: number) => session.subarray(from, to);
  const [nonce, wrapTk, wrapIv, wrapMac, policyMac] = [
    part(0, 16),
    part(16, 48),
    part(48, 64),
    part(64, 96),
    part(96, 128),
  ];
  const master = derive(shared, 'sev-master-secret', nonce);
  if (!equal(hmac(derive(master, 'sev-kik'), wrapTk), wrapMac)) return refuse('BAD_MEASUREMENT');
  const keys = crypto.createDecipheriv('aes-128-ctr', derive(master, 'sev-kek'), wrapIv).update(wrapTk);
  const channel = { tek: keys.subarray(0, 16), tik: keys.subarray(16) };
  if (!equal(hmac(channel.tik, u32(policy)), policyMac)) return refuse('BAD_MEASUREMENT');
  return channel;
}

/** Returns the shared x coordinate; nothing for a certificate that is no GODH or a point that is not on the curve. */
function agree(godh: Buffer, pdhKey: Uint8Array): Buffer | undefined {
  const { version, usage, algorithm, curve } = GODH_HEADER;
  const found = [0, 8, 12, 16].map((at) => godh.readUInt32LE(at));
  if (found.join() !== [version, usage, algorithm, curve].join()) return undefined;
  const { x, y, size } = COORDINATE;
  const coordinate = (at: number) => Buffer.from(godh.subarray(at, at + size)).reverse();
  const ecdh = crypto.createECDH('secp384r1');
  ecdh.setPrivateKey(pdhKey);
  try {
    return ecdh.computeSecret(Buffer.concat([Buffer.of(4), coordinate(x), coordinate(y)]));
  } catch {
    return undefined;
  }
}

/** NIST SP 800-108 in counter mode, one block cut to 128 bits. */
function derive(key: Uint8Array, label: string, context: Uint8Array = new Uint8Array()): Buffer {
  return hmac(key, u32(1), Buffer.from(label), Buffer.of(0), context, u32(128)).subarray(0, 16);
}

/** Compares in constant time. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && crypto.timingSafeEqual(a, b);
}
