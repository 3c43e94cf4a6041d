/** @module The folder that `secret build` writes, read back. */
import * as path from 'node:path';
import { wipe } from '../core/bytes.ts';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import { openPacket, PacketHeader } from '../core/secret/packet-cipher.ts';
import { type Io, readInput } from './io.ts';
import { readMeasurement } from './measurement-input.ts';
import { readTransportKeys } from './transport-keys.ts';

/** What opens a packet. */
export interface OpeningOptions {
  readonly tk: string;
  readonly measurement: string;
  readonly legacyApi?: boolean;
}

/** Description of `--legacy-api`, the same in every command. */
export const LEGACY_HELP =
  'the packet is for a platform whose API is older than 0.17 and is not bound to the measurement';

/** Returns the files of a packet in `folder` that are read: header and payload. */
export function packetInputs(folder: string): readonly [header: string, payload: string] {
  return [path.join(folder, 'header.bin'), path.join(folder, 'secret.bin')];
}

/** Returns the plain table of the packet in `folder`; throws as openPacket, and `io`. */
export async function openFolder(io: Io, folder: string, options: OpeningOptions): Promise<Uint8Array> {
  const { measure } = await readMeasurement(io, options.measurement);
  const [headerFile, payloadFile] = packetInputs(folder);
  const header = await readInput(io, headerFile, PacketHeader.size);
  const payload = await readInput(io, payloadFile, MAX_PAYLOAD);
  const keys = await readTransportKeys(io, options.tk);
  try {
    return openPacket({ header, payload }, keys, options.legacyApi === true ? undefined : measure);
  } finally {
    wipe(keys.tek, keys.tik);
  }
}
