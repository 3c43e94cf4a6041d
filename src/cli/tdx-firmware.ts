/** @module The firmware of a TDX guest, given on the command line, and its MRTD. */
import { type Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { Firmware } from '../core/firmware/firmware.ts';
import { MRTD_ORDERS, type MrtdOrder, type MrtdStep, mrtd } from '../core/measurement/mrtd.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import type { HashedFile } from './booted-files.ts';
import { readFirmware } from './firmware-input.ts';
import type { Io } from './io.ts';

/** A firmware image that was measured. */
export interface TdxFirmware {
  readonly image: Uint8Array;
  readonly firmware: Firmware;
  readonly hashed: HashedFile;
  /** 48 bytes. */
  readonly mrtd: Uint8Array;
}

/** Adds `--order`. */
export function addOrderOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--order <order>',
      "how the host adds a section's pages: Linux page by page, Canonical's stack in two passes",
    )
      .choices(MRTD_ORDERS)
      .default('page-wise'),
  );
}

/** Reads a firmware and measures it; throws as `mrtd` does, `usage` for a descriptor, `io`. */
export async function measureFirmware(
  io: Io,
  file: string,
  order: MrtdOrder,
  trace?: (step: MrtdStep) => void,
): Promise<TdxFirmware> {
  const { image, firmware, hashed } = await readFirmware(io, file);
  if (image !== undefined) return { image, firmware, hashed, mrtd: mrtd(image, firmware, order, nodeHashes, trace) };
  throw new BootsealError('usage', 'tdx needs the firmware image itself, not its descriptor', {
    hint: 'MRTD hashes the image in one run with its addresses; a descriptor keeps only what SNP needs',
  });
}
