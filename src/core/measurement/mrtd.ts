/**
 * @module MRTD, the launch measurement of a TDX guest: one SHA-384 over what TDH.MEM.PAGE.ADD and TDH.MR.EXTEND feed it (Intel TDX
 * Module Base Architecture, "MRTD: Build-Time Measurement Register").
 */
import { layout, reserved, text, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import type { Firmware } from '../firmware/firmware.ts';
import type { Hashes, RunningHash } from '../hash.ts';
import type { Step } from './plan.ts';
import { PAGE_SIZE } from './snp.ts';
import { type UsableTdxSection, usableTdxSections } from './tdx-sections.ts';

/**
 * In which order a host adds and measures the pages of a section: `page-wise`, each page followed by its contents (Linux
 * arch/x86/kvm/vmx/tdx.c, tdx_gmem_post_populate), or in `two-pass`es, all pages and then all contents (Canonical's TDX stack before
 * TDX was in Linux: virtee/tdx-measure, --two-pass-add-pages).
 */
export const MRTD_ORDERS = ['page-wise', 'two-pass'] as const;

/** One of {@link MRTD_ORDERS}. */
export type MrtdOrder = (typeof MRTD_ORDERS)[number];

/** One run of pages: their addresses are added (TDH.MEM.PAGE.ADD), their contents extended (TDH.MR.EXTEND), or both page by page. */
export interface MrtdStep extends Omit<Step, 'type'> {
  readonly type: 'add' | 'extend' | 'add+extend';
}

/**
 * Returns the MRTD (48 bytes) of a guest with this firmware: the full image, as the host loads it. Nothing else enters it: no
 * kernel, no variables, no CPU. `trace` gets each step. Throws `format` as `usableTdxSections` does, `usage` for an image that is
 * not the one that was parsed.
 */
export function mrtd(
  image: Uint8Array,
  firmware: Firmware,
  order: MrtdOrder,
  hashes: Pick<Hashes, 'startSha384'>,
  trace?: (step: MrtdStep) => void,
): Uint8Array {
  if (image.length !== firmware.size) {
    throw new BootsealError('usage', `the image has ${image.length} bytes, its tables are of one of ${firmware.size}`, {
      hint: 'give the image that was parsed',
    });
  }
  const digest = new Mrtd(hashes);
  for (const section of usableTdxSections(firmware)) {
    const { name, gpa, size } = section;
    for (const type of stepsOf(section, order)) {
      for (let at = 0; at < size; at += PAGE_SIZE) {
        if (type !== 'extend') digest.add(BigInt(gpa + at));
        if (type !== 'add') digest.extend(BigInt(gpa + at), contents(image, section, at));
      }
      trace?.({ name, type, gpa: BigInt(gpa), length: size, digest: digest.value() });
    }
  }
  return digest.value();
}

function stepsOf({ extended }: UsableTdxSection, order: MrtdOrder): readonly MrtdStep['type'][] {
  if (!extended) return ['add'];
  return order === 'two-pass' ? ['add', 'extend'] : ['add+extend'];
}

const ZEROS = new Uint8Array(PAGE_SIZE);

function contents(image: Uint8Array, { dataOffset }: UsableTdxSection, at: number): Uint8Array {
  return dataOffset === undefined ? ZEROS : image.subarray(dataOffset + at, dataOffset + at + PAGE_SIZE);
}

/** What both leaf functions feed first, 128 bytes. */
const Extension = layout('MRTD extension', { leaf: text(16), gpa: u64le, rest: reserved(104) });

/** TDH.MR.EXTEND takes this many bytes at a time. */
const CHUNK = 256;

/** An MRTD that grows page by page (addresses in bytes, contents of 4096); what a page feeds is laid out once, and only addresses and contents change. */
export class Mrtd {
  readonly #hash: RunningHash;
  readonly #added = Extension.pack({ leaf: 'MEM.PAGE.ADD', gpa: 0n });
  readonly #extended = new Uint8Array((PAGE_SIZE / CHUNK) * (Extension.size + CHUNK));

  constructor(hashes: Pick<Hashes, 'startSha384'>) {
    this.#hash = hashes.startSha384();
    const chunk = Extension.pack({ leaf: 'MR.EXTEND', gpa: 0n });
    for (let at = 0; at < this.#extended.length; at += chunk.length + CHUNK) this.#extended.set(chunk, at);
  }

  /** Adds a page, without its contents. */
  add(gpa: bigint): void {
    u64le.encode(gpa, this.#added, Extension.offset.gpa, 'MEM.PAGE.ADD.gpa');
    this.#hash.update(this.#added);
  }

  /** Adds the contents of a page. */
  extend(gpa: bigint, page: Uint8Array): void {
    let out = 0;
    for (let at = 0; at < PAGE_SIZE; at += CHUNK) {
      u64le.encode(gpa + BigInt(at), this.#extended, out + Extension.offset.gpa, 'MR.EXTEND.gpa');
      this.#extended.set(page.subarray(at, at + CHUNK), out + Extension.size);
      out += Extension.size + CHUNK;
    }
    this.#hash.update(this.#extended);
  }

  /** Returns the 48 bytes so far. */
  value(): Uint8Array {
    return this.#hash.copy().digest();
  }
}
