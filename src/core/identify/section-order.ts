/**
 * @module The same build with the SEV metadata in the other order: edk2 had the KERNEL_HASHES section before the last SNP_SEC_MEM
 * until its pull request 6054 moved it to the end (OvmfPkg/ResetVector/X64/OvmfSevMetadata.nasm.inc). The order is that of measurement.
 */
import { concat, u32le } from '../bytes.ts';
import type { Firmware } from '../firmware/firmware.ts';
import { FOOTER_ENTRIES, footerData } from '../firmware/footer.ts';
import { SEV_HEADER_SIZE, SEV_SECTION_SIZE } from '../firmware/sev-metadata.ts';

/** Where the KERNEL_HASHES section stands: before the last SNP_SEC_MEM, or behind all others. */
export type SectionOrder = 'kernel-hashes-inside' | 'kernel-hashes-last';

/** What the orders mean, for people. */
export const ORDER_TEXTS: Readonly<Record<SectionOrder, string>> = {
  'kernel-hashes-inside': 'with KERNEL_HASHES before the last SNP_SEC_MEM, as in edk2 before its pull request 6054',
  'kernel-hashes-last': 'with KERNEL_HASHES behind all others, as in edk2 since its pull request 6054',
};

/** Bytes that make the one build of the other. */
export interface Reordering {
  readonly order: SectionOrder;
  /** Offset in the image, bytes. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

const SEC_MEM = 1;
const KERNEL_HASHES = 0x10;

/** Returns what makes of an image that of the other order; undefined for one that has neither order. */
export function reordering(image: Uint8Array, firmware: Firmware): Reordering | undefined {
  const order = otherOrder(firmware);
  const offset = footerData(firmware.footer, FOOTER_ENTRIES.sevMetadata);
  if (order === undefined || offset === undefined) return undefined;
  const start = image.length - u32le.decode(offset, 0, 'firmware footer') + SEV_HEADER_SIZE;
  // Both orders differ in the last two sections only.
  const at = start + ((firmware.sevSections?.length ?? 0) - 2) * SEV_SECTION_SIZE;
  const record = (from: number) => image.subarray(from, from + SEV_SECTION_SIZE);
  return { order, at, bytes: concat(record(at + SEV_SECTION_SIZE), record(at)) };
}

function otherOrder({ sevSections = [] }: Firmware): SectionOrder | undefined {
  const types = sevSections.map(({ type }) => type);
  if (types.filter((type) => type === KERNEL_HASHES).length !== 1) return undefined;
  const [last, beforeLast] = [types.at(-1), types.at(-2)];
  if (last === KERNEL_HASHES && beforeLast === SEC_MEM) return 'kernel-hashes-inside';
  return last === SEC_MEM && beforeLast === KERNEL_HASHES ? 'kernel-hashes-last' : undefined;
}

/** Returns the other image. */
export function reordered(image: Uint8Array, { at, bytes }: Reordering): Uint8Array {
  const other = new Uint8Array(image);
  other.set(bytes, at);
  return other;
}
