/** @module Which firmware may have been started: what the owner believes, and the part of it that hosts load instead. */
import { BootsealError } from '../errors.ts';
import { type Firmware, parseFirmware } from '../firmware/firmware.ts';
import type { MeasuredFirmware } from '../measurement/measure.ts';
import { placeSvsm, type Svsm } from '../measurement/svsm.ts';
import { type Reordering, reordered, reordering } from './section-order.ts';

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
  /** What is changed in what is left, when the host loaded a build with the metadata in another order. */
  readonly reordering?: Reordering | undefined;
  /** Undefined when nothing runs below the firmware. */
  readonly svsm?: SvsmCandidate | undefined;
  /** Set where the owner believes in an SVSM, and there is none. */
  readonly svsmMissing?: boolean | undefined;
}

/** An SVSM and where it may lie. */
export interface SvsmCandidate extends Svsm {
  readonly name: string;
  /** Bytes of the variable store between it and the firmware. */
  readonly varsSize: number;
  /** Why this firmware has no room for it there; its addresses mean nothing then. */
  readonly noRoom?: string | undefined;
}

/** An SVSM file that the owner believes in. */
export interface BelievedSvsm {
  readonly name: string;
  readonly image: Uint8Array;
  /** Sizes of variable stores to look at, bytes. */
  readonly varsSizes: readonly number[];
}

/** One way in which a firmware differs from what the owner believes. */
export type FirmwareSlip = 'firmware-code-only' | 'firmware-section-order' | 'svsm-missing';

/** Returns in which ways a candidate differs from the file. */
export function firmwareSlips({
  leftOut,
  reordering: changed,
  svsmMissing,
}: FirmwareCandidate): readonly FirmwareSlip[] {
  return [
    ...(leftOut === 0 ? [] : ['firmware-code-only' as const]),
    ...(changed === undefined ? [] : ['firmware-section-order' as const]),
    ...(svsmMissing === true ? ['svsm-missing' as const] : []),
  ];
}

/** Bytes of the variable store at the start of a whole OVMF image of that size (edk2 OvmfPkg/Include/Fdf/OvmfPkgDefines.fdf.inc). */
const VARIABLE_STORES: ReadonlyMap<number, number> = new Map([
  [0x100000, 0x20000],
  [0x200000, 0x20000],
  [0x400000, 0x84000],
]);

/**
 * Returns the files as they are first, then the code part of those that are whole images, then all in the other order of metadata; with
 * SVSMs, each with each of them and then all without. Throws `format` for what is no SVSM, `usage` for one that goes below no firmware.
 */
export function firmwareCandidates(
  believed: readonly BelievedFirmware[],
  svsms: readonly BelievedSvsm[] = [],
): readonly FirmwareCandidate[] {
  const all = withoutSvsm(believed);
  if (svsms.length === 0) return all;
  const placed = all.flatMap((candidate) => svsms.flatMap((svsm) => withSvsm(candidate, svsm)));
  return [...placed, ...all.map((candidate) => ({ ...candidate, svsmMissing: true }))];
}

function withSvsm(
  candidate: FirmwareCandidate,
  { name, image, varsSizes }: BelievedSvsm,
): readonly FirmwareCandidate[] {
  return varsSizes.map((varsSize) => {
    const svsm = placed(image, candidate.measured.firmware, varsSize);
    return { ...candidate, svsm: { ...svsm, name, varsSize } };
  });
}

function placed(image: Uint8Array, { gpa }: Firmware, varsSize: number): Omit<SvsmCandidate, 'name' | 'varsSize'> {
  const anywhere = placeSvsm(image, { gpa: FOUR_GIB }, varsSize);
  try {
    return placeSvsm(image, { gpa }, varsSize);
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'usage') throw error;
    return { ...anywhere, noRoom: error.message };
  }
}

const FOUR_GIB = 2 ** 32;

function withoutSvsm(believed: readonly BelievedFirmware[]): readonly FirmwareCandidate[] {
  const whole = believed.map(({ name, ...measured }) => ({ name, measured, leftOut: 0 }));
  const inOrder = [...whole, ...believed.flatMap(codePart)];
  return [...inOrder, ...inOrder.flatMap(otherOrder)];
}

function otherOrder({ name, measured: { image, firmware }, leftOut }: FirmwareCandidate): readonly FirmwareCandidate[] {
  const change = image === undefined ? undefined : reordering(image, firmware);
  if (image === undefined || change === undefined) return [];
  const other = reordered(image, change);
  return [{ name, measured: { image: other, firmware: parseFirmware(other) }, leftOut, reordering: change }];
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
