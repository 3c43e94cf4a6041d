/** @module Sealing: a secret table becomes a packet that only the platform can open, and only for the launch that was verified. */
import { VerifiedLaunch } from '../measurement/verify-launch.ts';
import type { TransportKeys } from '../session/transport-keys.ts';
import { encryptPacket, type Packet } from './packet-cipher.ts';

/** What is sealed, to what, and with what. */
export interface Sealing {
  /** From verifyAgainstRecord or verifyLaunchMeasurement; nothing else is accepted. */
  readonly launch: VerifiedLaunch;
  /** From buildSecretTable; a multiple of 16 bytes. */
  readonly table: Uint8Array;
  readonly keys: TransportKeys;
  /** 16 random bytes, never used before with this TEK. */
  readonly iv: Uint8Array;
}

/** Returns the packet for the platform; throws `usage` when the launch was not verified, `format` for wrong lengths. */
export function sealPacket({ launch, table, keys, iv }: Sealing): Packet {
  return encryptPacket(table, keys, iv, VerifiedLaunch.boundMeasure(launch));
}
