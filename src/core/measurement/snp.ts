/**
 * @module The SNP launch digest: a chain of SHA-384 over one PAGE_INFO structure for each 4096-byte page (AMD SEV-SNP firmware
 * ABI 56860, section 8.17.2 and table 67).
 */
import { bytes, layout, reserved, u8, u16le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import type { StepType, Trace } from './plan.ts';

/** Bytes of a page and the unit of everything SNP measures. */
export const PAGE_SIZE = 4096;

const PageInfo = layout('PAGE_INFO', {
  digest: bytes(48),
  contents: bytes(48),
  length: u16le,
  pageType: u8,
  imiPage: u8,
  permissions: reserved(4),
  gpa: u64le,
});

const PAGE_TYPES = { normal: 1, vmsa: 2, zero: 3, unmeasured: 4, secrets: 5, cpuid: 6 } as const;

/** A page type as SNP_LAUNCH_UPDATE knows it. */
export type PageType = keyof typeof PAGE_TYPES;

const NO_CONTENTS = new Uint8Array(48);

/** A launch digest that grows page by page. */
export class SnpDigest {
  readonly #hashes: Hashes;
  readonly #info: Uint8Array;

  /** Starts from 48 zero bytes, or from a digest computed before (`from`, 48 bytes). */
  constructor(hashes: Hashes, from: Uint8Array = new Uint8Array(48)) {
    if (from.length !== 48)
      throw new BootsealError('format', `an SNP launch digest has 48 bytes, not ${from.length}`, {
        hint: 'give the digest whole: 96 hexadecimal digits',
      });
    this.#hashes = hashes;
    this.#info = PageInfo.pack({
      digest: from,
      contents: NO_CONTENTS,
      length: PageInfo.size,
      pageType: 0,
      imiPage: 0,
      gpa: 0n,
    });
  }

  /** Returns the 48 bytes so far. */
  value(): Uint8Array {
    return this.#info.slice(0, 48);
  }

  /** Returns an independent digest that goes on from here. */
  fork(): SnpDigest {
    return new SnpDigest(this.#hashes, this.#info.subarray(0, 48));
  }

  /** Adds pages whose contents count (`normal`, `vmsa`); `contents` is a whole number of pages. */
  add(type: 'normal' | 'vmsa', gpa: bigint, contents: Uint8Array): void {
    checkPages(type, gpa, contents.length);
    for (let at = 0; at < contents.length; at += PAGE_SIZE) {
      this.#page(type, gpa + BigInt(at), this.#hashes.sha384(contents.subarray(at, at + PAGE_SIZE)));
    }
  }

  /** Adds pages that all have the contents of this SHA-384 (48 bytes); `length` in bytes, a whole number of pages. */
  addRepeated(gpa: bigint, contents: Uint8Array, length: number): void {
    checkPages('normal', gpa, length);
    for (let at = 0; at < length; at += PAGE_SIZE) this.#page('normal', gpa + BigInt(at), contents);
  }

  /** Adds pages of which only type and address count; `length` in bytes, a whole number of pages. */
  addWithoutContents(type: 'zero' | 'unmeasured' | 'secrets' | 'cpuid', gpa: bigint, length: number): void {
    checkPages(type, gpa, length);
    for (let at = 0; at < length; at += PAGE_SIZE) this.#page(type, gpa + BigInt(at), NO_CONTENTS);
  }

  /**
   * Adds up to `count` pages that all have the contents of this SHA-384 (48 bytes), as the vCPUs of a guest have. After each, `seen`
   * gets the digest, in memory that changes with the next page; when it returns true, no more are added. Returns how many were.
   */
  addAlike(
    type: 'vmsa',
    gpa: bigint,
    contents: Uint8Array,
    count: number,
    seen: (digest: Uint8Array) => boolean,
  ): number {
    const info = this.#info;
    const value = info.subarray(0, 48);
    this.#describe(type, gpa, contents);
    for (let added = 1; added <= count; added++) {
      info.set(this.#hashes.sha384(info), PageInfo.offset.digest);
      if (seen(value)) return added;
    }
    return count;
  }

  #page(type: PageType, gpa: bigint, contents: Uint8Array): void {
    this.#describe(type, gpa, contents);
    this.#info.set(this.#hashes.sha384(this.#info), PageInfo.offset.digest);
  }

  #describe(type: PageType, gpa: bigint, contents: Uint8Array): void {
    this.#info.set(contents, PageInfo.offset.contents);
    this.#info[PageInfo.offset.pageType] = PAGE_TYPES[type];
    u64le.encode(gpa, this.#info, PageInfo.offset.gpa, 'PAGE_INFO.gpa');
  }
}

function checkPages(type: StepType, gpa: bigint, length: number): void {
  if (length === 0 || length % PAGE_SIZE !== 0 || gpa % BigInt(PAGE_SIZE) !== 0n) {
    throw new BootsealError(
      'format',
      `${type} pages at 0x${gpa.toString(16)} with 0x${length.toString(16)} bytes: address and length must be multiples of 0x1000`,
      { hint: 'only whole pages can be measured: fill the last one with zeros' },
    );
  }
}

/**
 * Returns the launch digest (48 bytes) after the pages of a firmware image that starts at `gpa`; the one part of an SNP
 * digest that needs the image itself. Throws `format` when the image is not whole pages.
 */
export function snpFirmwareDigest(image: Uint8Array, gpa: number, hashes: Hashes, trace?: Trace): Uint8Array {
  if (image.length === 0 || image.length % PAGE_SIZE !== 0) {
    throw new BootsealError('format', `the firmware has ${image.length} bytes; SNP measures whole pages of 4096`, {
      hint: 'give the image as QEMU gets it with -bios, not compressed and not cut',
    });
  }
  const digest = new SnpDigest(hashes);
  digest.add('normal', BigInt(gpa), image);
  const value = digest.value();
  trace?.({ name: 'firmware', type: 'normal', gpa: BigInt(gpa), length: image.length, digest: value });
  return value;
}
