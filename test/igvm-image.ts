/** @module IGVM files for tests, from the descriptions of vectors/igvm.json. */
import { concat } from '../src/core/bytes.ts';
import { crc32 } from '../src/core/disk/crc32.ts';
import {
  FixedHeader,
  GuestPolicy,
  PageData,
  ParameterArea,
  ParameterInsert,
  SnpIdBlock,
  SupportedPlatform,
  VariableHeader,
  VpContext,
} from '../src/core/igvm/headers.ts';

/** What a page is made from: the number of a pattern, or what stands where in zeros, in hexadecimal. */
export type PageRecipe = number | readonly (readonly [at: number, hex: string])[];

/** One directive of a description; `data` is what the contents are made from, null for none. */
export type DirectiveRecipe =
  | { kind: 'page'; gpa: string; mask: number; flags: number; type: number; data: number | null }
  | { kind: 'area'; index: number; size: number }
  | { kind: 'insert'; gpa: string; mask: number; index: number }
  | { kind: 'vcpu'; gpa: string; mask: number; vcpu: number; data: PageRecipe }
  | { kind: 'memory'; gpa: string; mask: number; size: number }
  | { kind: 'id-block'; mask: number; digest: string };

/** A file in words. */
export interface IgvmRecipe {
  readonly platforms: readonly { readonly type: number; readonly mask: number }[];
  readonly policies?: readonly { readonly policy: string; readonly mask: number }[];
  readonly directives: readonly DirectiveRecipe[];
}

/** A variable header. */
export interface RawHeader {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** Returns the 4096 bytes that `data` stands for. */
export function pageOf(data: PageRecipe): Uint8Array {
  if (typeof data === 'number') return Uint8Array.from({ length: 4096 }, (_, i) => data + 31 * i + (i >> 8));
  const page = new Uint8Array(4096);
  for (const [at, hex] of data) page.set(Buffer.from(hex, 'hex'), at);
  return page;
}

/** Returns the file of a description. */
export function igvmImage(recipe: IgvmRecipe): Uint8Array {
  const size = headersOf(recipe, () => 0).reduce((sum, { payload }) => sum + 8 + Math.ceil(payload.length / 8) * 8, 24);
  const pages: Uint8Array[] = [];
  const headers = headersOf(recipe, (data) => {
    if (data === null) return 0;
    pages.push(pageOf(data));
    return size + 4096 * (pages.length - 1);
  });
  return pages.length === 0 ? igvmOf(headers) : igvmOf(headers, concat(...pages));
}

/**
 * Returns a file of any headers and data, of which loaders want some; `fixed` changes its fixed header, whose checksum is right unless
 * given.
 */
export function igvmOf(
  headers: readonly RawHeader[],
  data: Uint8Array = new Uint8Array(8),
  fixed: Partial<ReturnType<typeof FixedHeader.unpack>> = {},
): Uint8Array {
  const variable = concat(
    ...headers.flatMap(({ type, payload }) => [
      VariableHeader.pack({ type, length: payload.length }),
      payload,
      new Uint8Array(-payload.length & 7),
    ]),
  );
  const head = {
    version: 1,
    variableOffset: 24,
    variableSize: variable.length,
    totalSize: 24 + variable.length + data.length,
    checksum: 0,
    ...fixed,
  };
  const checksum = fixed.checksum ?? crc32(concat(FixedHeader.pack(head), variable));
  return concat(FixedHeader.pack({ ...head, checksum }), variable, data);
}

/** Returns the headers of a description; `place` says where contents are. */
export function headersOf(recipe: IgvmRecipe, place: (data: PageRecipe | null) => number): RawHeader[] {
  return [
    ...recipe.platforms.map(({ type, mask }) => ({
      type: 0x1,
      payload: SupportedPlatform.pack({ mask, highestVtl: 0, type, version: 1, sharedBoundary: 0n }),
    })),
    ...(recipe.policies ?? []).map(({ policy, mask }) => ({
      type: 0x101,
      payload: GuestPolicy.pack({ policy: BigInt(policy), mask }),
    })),
    ...recipe.directives.map((directive) => directiveOf(directive, place)),
  ];
}

function directiveOf(directive: DirectiveRecipe, place: (data: PageRecipe | null) => number): RawHeader {
  switch (directive.kind) {
    case 'page': {
      const { gpa, mask, flags, type, data } = directive;
      return {
        type: 0x302,
        payload: PageData.pack({ gpa: BigInt(gpa), mask, fileOffset: place(data), flags, type, reserved: 0 }),
      };
    }
    case 'area':
      return {
        type: 0x301,
        payload: ParameterArea.pack({ size: BigInt(directive.size), index: directive.index, fileOffset: 0 }),
      };
    case 'insert': {
      const { gpa, mask, index } = directive;
      return { type: 0x303, payload: ParameterInsert.pack({ gpa: BigInt(gpa), mask, index }) };
    }
    case 'vcpu': {
      const { gpa, mask, vcpu, data } = directive;
      return { type: 0x304, payload: VpContext.pack({ gpa: BigInt(gpa), mask, fileOffset: place(data), vcpu }) };
    }
    case 'memory': {
      const payload = new Uint8Array(24);
      const view = new DataView(payload.buffer);
      view.setBigUint64(0, BigInt(directive.gpa), true);
      view.setUint32(8, directive.mask, true);
      view.setUint32(12, directive.size, true);
      return { type: 0x305, payload };
    }
    case 'id-block':
      return { type: 0x30b, payload: idBlock(directive.mask, directive.digest) };
  }
}

function idBlock(mask: number, digest: string): Uint8Array {
  return SnpIdBlock.pack({
    mask,
    authorKeyEnabled: 0,
    digest: Uint8Array.from(Buffer.from(digest, 'hex')),
    familyId: new Uint8Array(16),
    imageId: new Uint8Array(16),
    version: 1,
    guestSvn: 0,
    idKeyAlgorithm: 1,
    authorKeyAlgorithm: 1,
    idKeySignature: new Uint8Array(144),
    idKey: new Uint8Array(152),
    authorKeySignature: new Uint8Array(144),
    authorKey: new Uint8Array(152),
  });
}
