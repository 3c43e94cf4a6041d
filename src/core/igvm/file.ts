/** @module An IGVM file, read: the platforms that it serves, and in file order what a loader does for them. */
import { concat } from '../bytes.ts';
import { crc32 } from '../disk/crc32.ts';
import { type Directive, readDirective, type VcpuDirective } from './directives.ts';
import {
  FixedHeader,
  FixedHeaderTail,
  GuestPolicy,
  isIgvm,
  LAST_KNOWN,
  OPTIONAL_BIT,
  RESERVED_TYPE,
  SECTIONS,
  SupportedPlatform,
  TYPE,
  VariableHeader,
} from './headers.ts';
import { hex, igvmRefusal } from './refusal.ts';

/** The largest file that is read, bytes: far above those that carry a kernel and an initrd. */
export const MAX_IGVM_BYTES: number = 256 * 2 ** 20;

/** The most variable headers of a file: four for each page that a guest may have. */
const MOST_HEADERS = 2 ** 20;

/** IgvmPlatformType, by number. */
export const PLATFORM_TYPES = ['native', 'vsm', 'snp', 'tdx', 'sev', 'sev-es', 'cca'] as const;

/** One platform that the file serves. */
export interface IgvmPlatform {
  readonly type: (typeof PLATFORM_TYPES)[number];
  /** The bit that headers for this platform have in their masks. */
  readonly mask: number;
  /** The highest virtual trust level of the guest, 0 or 2. */
  readonly highestVtl: number;
  /** From this address on memory is visible to the host; 0 for none. */
  readonly sharedBoundary: bigint;
}

/** An IGVM file. */
export interface IgvmFile {
  /** Of the format, 1 or 2. */
  readonly version: number;
  readonly platforms: readonly IgvmPlatform[];
  /** Policies that guests are started with, each for the platforms of its mask. */
  readonly policies: readonly { readonly policy: bigint; readonly mask: number }[];
  /** In file order. */
  readonly directives: readonly Directive[];
  /** The types of all headers but the optional ones that are passed over, each once. */
  readonly types: readonly number[];
}

/**
 * Reads an IGVM file for x86-64 guests; directives refer to its bytes. Throws `format` for a wrong checksum, sizes that leave the
 * file, headers that are not what their type says, and those of unknown type that a loader must not pass over.
 */
export function parseIgvm(file: Uint8Array): IgvmFile {
  if (file.length > MAX_IGVM_BYTES) {
    throw igvmRefusal(`${file.length} bytes are more than the ${MAX_IGVM_BYTES} accepted here`);
  }
  if (!isIgvm(file)) throw igvmRefusal('the file does not begin with "IGVM"');
  const header = FixedHeader.unpack(file);
  const size = fixedHeaderSize(file, header.version);
  const end = header.variableOffset + header.variableSize;
  if (header.totalSize !== file.length) {
    throw igvmRefusal(`the file has ${file.length} bytes, its header says ${header.totalSize}`);
  }
  if (header.variableOffset < size || header.variableOffset % 8 !== 0 || end > file.length) {
    throw igvmRefusal(`variable headers at ${header.variableOffset} with ${header.variableSize} bytes do not fit`);
  }
  if (end === file.length) {
    throw igvmRefusal('the file ends with its variable headers: no loader reads one without file data');
  }
  const variable = file.subarray(header.variableOffset, end);
  checkChecksum(file.subarray(0, size), variable, header.checksum);
  return { version: header.version, ...readVariableHeaders(file, variable, end) };
}

function fixedHeaderSize(file: Uint8Array, version: number): number {
  if (version === 1) return FixedHeader.size;
  if (version !== 2) throw igvmRefusal(`version ${version} of the format is not known, only 1 and 2 are`);
  const { architecture, pageSize } = FixedHeaderTail.unpack(file, FixedHeader.size);
  if (architecture !== 0) throw igvmRefusal(`architecture ${architecture} is not x86-64`);
  if (pageSize !== 4096) throw igvmRefusal(`pages have ${pageSize} bytes, not 4096`);
  return FixedHeader.size + FixedHeaderTail.size;
}

function checkChecksum(fixed: Uint8Array, variable: Uint8Array, stated: number): void {
  const covered = concat(fixed, variable);
  covered.fill(0, FixedHeader.offset.checksum, FixedHeader.offset.checksum + 4);
  const computed = crc32(covered);
  if (computed !== stated) throw igvmRefusal(`the headers' checksum is ${hex(computed)}, the file says ${hex(stated)}`);
}

function readVariableHeaders(file: Uint8Array, variable: Uint8Array, dataStart: number): Omit<IgvmFile, 'version'> {
  const found = { platforms: [] as IgvmPlatform[], policies: [] as { policy: bigint; mask: number }[] };
  const directives: Directive[] = [];
  const areas = new Map<number, number>();
  const types = new Set<number>();
  let section = 0;
  let headers = 0;
  let index = 0;
  for (let at = 0; at < variable.length; ) {
    if (++headers > MOST_HEADERS) throw igvmRefusal(`more than ${MOST_HEADERS} variable headers`);
    const { type, length } = VariableHeader.unpack(variable, at);
    const start = at + VariableHeader.size;
    const where = `header ${headers - 1} (type ${hex(type)})`;
    if (length > variable.length - start) throw igvmRefusal(`${where}: ${length} bytes leave the variable headers`);
    at = Math.min(variable.length, start + Math.ceil(length / 8) * 8);
    if (skipped(type, where)) continue;
    const its = SECTIONS.findIndex(({ first, last }) => type >= first && type <= last);
    if (its < section) throw igvmRefusal(`${where}: it comes after headers of a later section`);
    section = its;
    types.add(type);
    const payload = variable.subarray(start, start + length);
    if (type === TYPE.supportedPlatform) found.platforms.push(readPlatform(payload, found.platforms, where));
    else if (type === TYPE.guestPolicy)
      found.policies.push(GuestPolicy.unpack(sized(payload, GuestPolicy.size, where)));
    else if (its === 2) {
      const directive = readDirective({ type, payload, index: index++, where, file, dataStart, areas });
      if (directive === undefined) continue;
      if (directive.kind === 'vcpu') checkVcpu(directive, found.platforms, where);
      directives.push(directive);
    }
  }
  if (found.platforms.length === 0) throw igvmRefusal('the file names no platform that it is for');
  return { ...found, directives, types: [...types] };
}

/** As microsoft/igvm has it, which all loaders read files with (IgvmDirectiveHeader::new_from_binary_split). */
function checkVcpu({ mask, page }: VcpuDirective, platforms: readonly IgvmPlatform[], where: string): void {
  const type = platforms.find((one) => one.mask === mask)?.type;
  if (type === undefined) {
    throw igvmRefusal(`${where}: CPU state for mask ${hex(mask)}, which is not that of one platform`);
  }
  if (type === 'tdx' || type === 'cca') {
    throw igvmRefusal(`${where}: CPU state for ${type}, which has none in files for x86-64`);
  }
  if (type !== 'vsm' && page.length < 4096) {
    throw igvmRefusal(`${where}: ${page.length} bytes of CPU state at the end of the file, not 4096`);
  }
}

/** Whether a loader passes over a type; throws for one that it must know and does not. */
function skipped(type: number, where: string): boolean {
  const bare = type % OPTIONAL_BIT;
  const known =
    bare !== RESERVED_TYPE && SECTIONS.some(({ first }, i) => bare >= first && bare <= (LAST_KNOWN[i] ?? 0));
  if (bare === type) {
    if (!known) throw igvmRefusal(`${where}: loaders must know this type, and none is known`);
    return false;
  }
  if (known) throw igvmRefusal(`${where}: loaders disagree on a known type that is marked as optional`);
  return true;
}

function readPlatform(payload: Uint8Array, before: readonly IgvmPlatform[], where: string): IgvmPlatform {
  const { mask, type, version, highestVtl, sharedBoundary } = SupportedPlatform.unpack(
    sized(payload, SupportedPlatform.size, where),
  );
  const name = PLATFORM_TYPES[type];
  if (name === undefined) throw igvmRefusal(`${where}: platform ${type} is not known`);
  if (version !== 1) throw igvmRefusal(`${where}: version ${version} of platform ${name} is not known`);
  if (mask === 0 || (mask & (mask - 1)) !== 0) throw igvmRefusal(`${where}: mask ${hex(mask)} has not one bit`);
  for (const other of before) {
    if (other.type === name) throw igvmRefusal(`${where}: platform ${name} comes twice`);
    if (other.mask === mask) throw igvmRefusal(`${where}: platforms ${other.type} and ${name} have one mask`);
  }
  return { type: name, mask, highestVtl, sharedBoundary };
}

function sized(payload: Uint8Array, size: number, where: string): Uint8Array {
  if (payload.length !== size) throw igvmRefusal(`${where}: ${payload.length} bytes instead of ${size}`);
  return payload;
}
