/** @module The forms in which a packet is given to a host: base64 texts (virsh domsetlaunchsecstate), one command (QMP). */
import { bytesToBase64 } from '../base64.ts';
import type { Packet } from './packet-cipher.ts';

/** A packet as base64 texts without line breaks. */
export interface PacketTexts {
  /** Of the 52 bytes of the header: `--secrethdr` of virsh, `packet-header` of QMP. */
  readonly header: string;
  /** Of the payload: `--secret` of virsh, `secret` of QMP. */
  readonly secret: string;
}

/** QEMU's command that injects a packet (qapi/misc-i386.json); its JSON is what a QMP socket takes. */
export interface InjectSecretCommand {
  readonly execute: 'sev-inject-launch-secret';
  readonly arguments: {
    readonly 'packet-header': string;
    readonly secret: string;
    /** Guest physical address; not in the JSON when undefined. */
    readonly gpa: number | undefined;
  };
}

/** Returns a packet as the contents of the two files that `virsh domsetlaunchsecstate` reads. */
export function packetTexts({ header, payload }: Packet): PacketTexts {
  return { header: bytesToBase64(header), secret: bytesToBase64(payload) };
}

/**
 * Returns the QMP command for a packet. `gpa` is the base of the secret area in the owner's record; without it QEMU takes that of
 * the firmware it has loaded.
 */
export function injectSecretCommand({ header, secret }: PacketTexts, gpa: number | undefined): InjectSecretCommand {
  return { execute: 'sev-inject-launch-secret', arguments: { 'packet-header': header, secret, gpa } };
}
