/** @module Which firmware may have been started: what the owner believes, and the part of it that hosts load instead. */
import { BootsealError } from '../errors.ts';
import { parseFirmware } from '../firmware/firmware.ts';
import type { MeasuredFirmware } from '../measurement/measure.ts';

/** A firmware file that the owner believes in. */
export interface BelievedFirmware extends MeasuredFirmware {
  readonly name: string;
}

/** One candidate. */
export interface FirmwareCandidate {
  readonly name: string;
  readonly measured: MeasuredFirmware;
  /** Bytes at the start of the file that are left out: the variable store, when the host loaded only the code behind it. */
  readonly leftOut: number;
}

/** Bytes of the variable store at the start of a whole OVMF image of that size (edk2 OvmfPkg/Include/Fdf/OvmfPkgDefines.fdf.inc). */
const VARIABLE_STORES: ReadonlyMap<number, number> = new Map([
  [0x100000, 0x20000],
  [0x200000, 0x20000],
  [0x400000, 0x84000],
]);

/** Returns the files as they are first, then the code part of those that are whole images. */
export function firmwareCandidates(believed: readonly BelievedFirmware[]): readonly FirmwareCandidate[] {
  const whole = believed.map(({ name, ...measured }) => ({ name, measured, leftOut: 0 }));
  return [...whole, ...believed.flatMap(codePart)];
}

/** Returns the bytes of the variable store that a whole image of this size begins with; 0 when no build has that size. */
export function variableStoreOf(size: number): number {
  return VARIABLE_STORES.get(size) ?? 0;
}

function codePart({ name, image }: BelievedFirmware): readonly FirmwareCandidate[] {
  const leftOut = variableStoreOf(image?.length ?? 0);
  if (image === undefined || leftOut === 0) return [];
  const code = image.subarray(leftOut);
  try {
    return [{ name, measured: { image: code, firmware: parseFirmware(code) }, leftOut }];
  } catch (error) {
    // The tables of a whole image may lie outside of what would be its code part.
    if (error instanceof BootsealError) return [];
    throw error;
  }
}
