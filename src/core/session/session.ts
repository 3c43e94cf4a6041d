/**
 * @module The launch session (AMD SEV API 55766, section 2.2 and LAUNCH_START): the guest owner wraps fresh transport keys so
 * that only the platform with this PDH can unwrap them, and binds the guest policy to them.
 */
import { ctr } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytes, equalInConstantTime, layout, u32le, wipe } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { encodeGodh, parseCertificate, type SevCertificate } from './certificate.ts';
import { deriveKey } from './kdf.ts';
import type { EcPublicKey, PublicKeyOperations } from './public-key.ts';
import { encodeTk, parseTk, type TransportKeys } from './transport-keys.ts';

/** All sessions are on this curve; the format knows P-256, the firmware does not (amd/AMD-ASPFW ecdh.c). */
const CURVE = 'P-384';
const KEY_SIZE = 16;
const NO_CONTEXT = new Uint8Array();

const Session = layout('session', {
  nonce: bytes(16),
  wrapTk: bytes(32),
  wrapIv: bytes(16),
  wrapMac: bytes(32),
  policyMac: bytes(32),
});

/** Bytes of the session buffer. */
export const SESSION_SIZE = Session.size;

/** What a session is made from; everything but the policy must be fresh and random for each launch. */
export interface SessionInputs extends TransportKeys {
  /** The platform's Diffie-Hellman certificate. Its chain must have been verified: see `PlatformKey`. */
  readonly pdh: SevCertificate;
  /** Private key on P-384, 48 bytes big-endian. */
  readonly ephemeralKey: Uint8Array;
  /** 16 bytes. */
  readonly nonce: Uint8Array;
  /** 16 bytes. */
  readonly iv: Uint8Array;
  /** 32-bit guest policy. */
  readonly policy: number;
}

/** What the host needs to start the guest; neither is secret. */
export interface LaunchSession {
  /** 128 bytes: nonce, wrapped transport keys and their MACs. */
  readonly session: Uint8Array;
  /** The guest owner's Diffie-Hellman certificate, 2084 bytes. */
  readonly godh: Uint8Array;
}

/**
 * Makes the session buffer and the GODH certificate. The inputs' keys are left for the caller to wipe. Throws `format` when
 * the PDH is no PDH on P-384 or holds no point of it, `key` for an ephemeral key outside the curve's order.
 */
export function createSession(inputs: SessionInputs, publicKey: PublicKeyOperations): LaunchSession {
  const shared = publicKey.agree(CURVE, inputs.ephemeralKey, agreementKey(inputs.pdh, 'pdh'));
  try {
    const godh = encodeGodh(publicKey.publicKeyOf(CURVE, inputs.ephemeralKey));
    return { session: wrapTransportKeys(shared, inputs), godh };
  } finally {
    wipe(shared);
  }
}

/**
 * Returns the session buffer for a shared secret that is known already; {@link createSession} agrees on one first. Throws
 * `usage` when nonce, iv or a key has not 16 bytes.
 */
export function wrapTransportKeys(shared: Uint8Array, inputs: Omit<SessionInputs, 'pdh' | 'ephemeralKey'>): Uint8Array {
  for (const name of ['nonce', 'iv', 'tek', 'tik'] as const) {
    if (inputs[name].length !== KEY_SIZE) {
      throw new BootsealError('usage', `${name}: needs ${KEY_SIZE} bytes, got ${inputs[name].length}`, {
        hint: 'make 16 random bytes for it',
      });
    }
  }
  const { kek, kik } = wrappingKeys(shared, inputs.nonce);
  const tk = encodeTk(inputs);
  try {
    const wrapTk = ctr(kek, inputs.iv).encrypt(tk);
    return Session.pack({
      nonce: inputs.nonce,
      wrapTk,
      wrapIv: inputs.iv,
      wrapMac: hmac(sha256, kik, wrapTk),
      policyMac: policyMac(inputs.tik, inputs.policy),
    });
  } finally {
    wipe(kek, kik, tk);
  }
}

/** What the platform's firmware is given at LAUNCH_START, and its own key. */
export interface OpenInputs extends LaunchSession {
  /** Private key of the PDH, 48 bytes big-endian. */
  readonly pdhKey: Uint8Array;
  /** The guest policy that the host asks for. */
  readonly policy: number;
}

/**
 * Does the platform's side: returns the transport keys, which the caller wipes. Throws `mismatch` when the session is not for
 * this PDH, was changed, or was made for another policy; `format` when session or GODH are not what they should be.
 */
export function openSession(inputs: OpenInputs, publicKey: PublicKeyOperations): TransportKeys {
  if (inputs.session.length !== SESSION_SIZE) {
    throw new BootsealError('format', `session: needs ${SESSION_SIZE} bytes, got ${inputs.session.length}`, {
      hint: 'give the session whole, as session create wrote it',
    });
  }
  const { nonce, wrapTk, wrapIv, wrapMac, policyMac: givenPolicyMac } = Session.unpack(inputs.session);
  const shared = publicKey.agree(CURVE, inputs.pdhKey, agreementKey(parseCertificate(inputs.godh, 'godh'), 'godh'));
  const { kek, kik } = wrappingKeys(shared, nonce);
  try {
    if (!equalInConstantTime(hmac(sha256, kik, wrapTk), wrapMac)) {
      throw new BootsealError(
        'mismatch',
        'session: the transport keys were not wrapped for this platform, or changed',
        { hint: 'make a new session for the certificates of the platform that will start the guest' },
      );
    }
    const tk = ctr(kek, wrapIv).decrypt(wrapTk);
    const keys = parseTk(tk);
    wipe(tk);
    if (!equalInConstantTime(policyMac(keys.tik, inputs.policy), givenPolicyMac)) {
      wipe(keys.tek, keys.tik);
      throw new BootsealError('mismatch', 'session: it was made for another policy', {
        hint: 'start the guest with the policy that the session was made with, or make a new session',
      });
    }
    return keys;
  } finally {
    wipe(shared, kek, kik);
  }
}

/** Returns the key of a PDH or GODH certificate; throws `format` when it is none for a session. */
function agreementKey(certificate: SevCertificate, name: string): EcPublicKey {
  if (certificate.usage !== 'pdh') {
    throw new BootsealError('format', `${name}: is a ${certificate.usage.toUpperCase()} certificate, not a PDH`, {
      hint: 'give pdh.cert as the platform exported it',
    });
  }
  if (certificate.key.kind !== 'ec' || certificate.key.curve !== CURVE) {
    throw new BootsealError('format', `${name}: its key is not on ${CURVE}`, {
      hint: "export the platform's certificates again: a PDH has a key on P-384",
    });
  }
  return certificate.key;
}

function wrappingKeys(shared: Uint8Array, nonce: Uint8Array): { readonly kek: Uint8Array; readonly kik: Uint8Array } {
  const master = deriveKey(shared, 'sev-master-secret', nonce, KEY_SIZE);
  try {
    return {
      kek: deriveKey(master, 'sev-kek', NO_CONTEXT, KEY_SIZE),
      kik: deriveKey(master, 'sev-kik', NO_CONTEXT, KEY_SIZE),
    };
  } finally {
    wipe(master);
  }
}

function policyMac(tik: Uint8Array, policy: number): Uint8Array {
  const value = new Uint8Array(u32le.size);
  u32le.encode(policy, value, 0, 'policy');
  return hmac(sha256, tik, value);
}
