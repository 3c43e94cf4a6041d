/** @module The one packet of a launch on the owner's disk, so that a retry sends the same one and none is ever made anew. */
import * as path from 'node:path';
import { base64ToBytes } from '../core/base64.ts';
import { BootsealError } from '../core/errors.ts';
import { readSmallFile } from './files.ts';
import type { InjectedPacket } from './launch-host.ts';
import { syncFolder, writeNewFile } from './new-file.ts';

/** A packet, what it was made for, and what is in it by GUID. */
export interface SavedPacket extends InjectedPacket {
  readonly format: 'bootseal-packet-1';
  /** Base64 of the 48 bytes. */
  readonly measurement: string;
  readonly secrets: readonly string[];
}

const LIMIT = 1 << 16;

const SPENT = 'no secret has left, but the record is spent: prepare a new launch, in a new folder that has room';

/** Writes a new file, mode 0600, when its record is marked. Throws `io`. */
export async function savePacket(file: string, packet: SavedPacket): Promise<void> {
  await writeNewFile(file, `${JSON.stringify(packet)}\n`, 0o600).catch((cause: BootsealError) => {
    throw new BootsealError('io', cause.message, { hint: SPENT, cause });
  });
  await syncFolder(path.dirname(file));
}

/** Reads it back; undefined when there is none. Throws `format` when the file is something else. */
export async function readPacket(file: string): Promise<SavedPacket | undefined> {
  let text: string;
  try {
    text = Buffer.from(await readSmallFile(file, LIMIT)).toString('utf8');
  } catch (error) {
    const { code } = ((error as BootsealError).cause ?? {}) as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const packet = JSON.parse(text) as SavedPacket;
    const { format, measurement, header, secret, gpa, secrets } = packet;
    for (const part of [measurement, header, secret]) base64ToBytes(part);
    const isRight =
      format === 'bootseal-packet-1' && Number.isInteger(gpa) && secrets.every((guid) => typeof guid === 'string');
    if (isRight) return packet;
  } catch {
    // The message below says it all.
  }
  throw new BootsealError('format', `${file}: not a packet of launch inject`, {
    hint: 'put back the file that launch inject wrote, or prepare a new launch',
  });
}
