/** @module The launch measurement of SEV and SEV-ES: what the platform answers to LAUNCH_MEASURE (SEV API 55766, 6.5). */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { base64ToBytes } from '../base64.ts';
import { bytes, layout, magic, u8, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { isHexText } from '../hex.ts';
import { TRANSPORT_KEY_SIZE } from '../session/transport-keys.ts';
import { type ApiVersion, checkApi, isLegacy } from './api-version.ts';

/** Bytes of a launch measurement as QEMU and libvirt hand it over. */
const LAUNCH_MEASUREMENT_BYTES = 48;

/** The two parts of the 48 bytes. */
export const LaunchMeasurementBlob = layout('launch measurement', {
  /** HMAC-SHA256 under the TIK. */
  measure: bytes(32),
  /** MNONCE, chosen by the platform. */
  nonce: bytes(16),
});

/** What the platform measured with which nonce: 32 and 16 bytes. */
export interface LaunchMeasurement {
  readonly measure: Uint8Array;
  readonly nonce: Uint8Array;
}

/** What is authenticated since API 0.17. */
export const MeasureMessage = layout('LAUNCH_MEASURE', {
  command: magic(Uint8Array.of(0x04)),
  major: u8,
  minor: u8,
  build: u8,
  policy: u32le,
  digest: bytes(32),
  nonce: bytes(16),
});

/** What was authenticated before API 0.17: the first four bytes are left out (AMDESE/sev-tool src/commands.cpp). */
export const LegacyMeasureMessage = layout('LAUNCH_MEASURE', { policy: u32le, digest: bytes(32), nonce: bytes(16) });

/** What goes into a measure. */
export interface MeasureInput {
  /** Transport integrity key, 16 bytes. */
  readonly tik: Uint8Array;
  readonly api: ApiVersion;
  /** 32-bit guest policy. */
  readonly policy: number;
  /** Launch digest, 32 bytes. */
  readonly digest: Uint8Array;
  /** MNONCE, 16 bytes. */
  readonly nonce: Uint8Array;
}

/** Returns the 32-byte measure that the platform must answer; throws `usage` for an API beyond bytes, `format` for wrong lengths. */
export function computeLaunchMeasurement({ tik, api, policy, digest, nonce }: MeasureInput): Uint8Array {
  checkApi(api);
  const message = isLegacy(api)
    ? LegacyMeasureMessage.pack({ policy, digest, nonce })
    : MeasureMessage.pack({ ...api, policy, digest, nonce });
  return hmac(sha256, checkTransportKey('TIK', tik), message);
}

/** Returns `key`; throws `format` when it has not 16 bytes. */
export function checkTransportKey(name: 'TEK' | 'TIK', key: Uint8Array): Uint8Array {
  if (key.length !== TRANSPORT_KEY_SIZE) {
    throw new BootsealError('format', `${name}: needs ${TRANSPORT_KEY_SIZE} bytes, got ${key.length}`, {
      hint: 'the TIK is the second half of the file tk that session create wrote',
    });
  }
  return key;
}

/** Splits the 48 bytes; throws `format`, which tells what bytes of another length probably are. */
export function parseLaunchMeasurement(blob: Uint8Array): LaunchMeasurement {
  if (blob.length !== LAUNCH_MEASUREMENT_BYTES) throw wrongLength(blob.length, LIKELY[blob.length]);
  return LaunchMeasurementBlob.unpack(blob);
}

/** Reads the base64 text that QEMU and virsh print, blanks around it ignored; throws `format` for anything else. */
export function parseLaunchMeasurementText(text: string): LaunchMeasurement {
  const trimmed = text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '');
  const digits = trimmed.replace(/^0x/i, '').length;
  if (isHexText(trimmed) && digits >= FEWEST_DIGITS) {
    const likely = LIKELY_HEX[digits];
    const guess = likely === undefined ? '' : `, probably ${likely}`;
    throw new BootsealError('format', `launch measurement: ${digits} hexadecimal digits${guess}`, { hint: WANTED });
  }
  let blob: Uint8Array;
  try {
    blob = base64ToBytes(trimmed);
  } catch (cause) {
    throw new BootsealError('format', `launch measurement: ${trimmed.length} characters that are not base64`, {
      hint: WANTED,
      cause,
    });
  }
  return parseLaunchMeasurement(blob);
}

const WANTED =
  'it is 64 base64 characters: "data" of query-sev-launch-measure, or sev-measurement of virsh domlaunchsecinfo';

const LIKELY: Readonly<Record<number, string>> = {
  0: 'there is nothing in it',
  16: 'a bare nonce or a transport key',
  32: 'a bare measure without its nonce, or a launch digest',
  64: 'its base64 text where the bytes are wanted',
  65: 'its base64 text where the bytes are wanted',
  96: 'hexadecimal text of 48 bytes',
  1184: 'an SNP attestation report',
};

/** With 0x before them as many characters as the base64 text. */
const FEWEST_DIGITS = 62;

const LIKELY_HEX: Readonly<Record<number, string>> = {
  64: 'a launch digest',
  96: 'an SNP launch digest',
};

function wrongLength(length: number, likely: string | undefined): BootsealError {
  const guess = likely === undefined ? '' : ` (${length === 0 ? '' : 'probably '}${likely})`;
  return new BootsealError('format', `launch measurement: needs 48 bytes, got ${length}${guess}`, { hint: WANTED });
}
