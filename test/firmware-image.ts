/**
 * @module Builds firmware images for tests, written from the specifications (UEFI PI 1.8 volume 3; edk2's footer tables; the LZMA
 * specification) and not from the code under test. A finished image is a row of volumes and one last page with the tables.
 */
import { guidToBytes } from '../src/core/guid.ts';

export const FFS2 = '8c8ce578-8a3d-4f1c-9935-896185c32dd3';
export const FFS3 = '5473c07a-3dcb-4dca-bd6f-1e9689e7349a';
export const VARIABLES = 'fff12b8d-7696-4c8b-a985-2747075b4f50';
export const LZMA = 'ee4e5898-3914-4259-9d6e-dc7bd79403cf';
export const NAME = '00112233-4455-6677-8899-aabbccddeeff';
export const SECRET_PEI = '45260dde-0c3c-4b41-a226-ef3803fac7d4';
export const SECRET_DXE = '6e2b9619-8810-4e9d-a177-d432bb9abeda';
export const HASH_GUIDS = [
  '4de79437-abd2-427f-b835-d5b172d2045b',
  '44baf731-3a2f-4bd7-9af1-41e29169781d',
  '97d02dd8-bd20-4c94-aa78-e7714d36ab2a',
];

const PAGE = 4096;

export const join = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

/** Fills up to a multiple of `unit`. */
export function pad(bytes: Uint8Array, unit: number, filling = 0): Uint8Array {
  const out = new Uint8Array(Math.ceil(bytes.length / unit) * unit).fill(filling);
  out.set(bytes);
  return out;
}

function little(value: number | bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
}
export const u16 = (value: number) => little(value, 2);
export const u24 = (value: number) => little(value, 3);
export const u32 = (value: number) => little(value, 4);
export const u64 = (value: number | bigint) => little(value, 8);
const text = (ascii: string) => Uint8Array.from(Buffer.from(ascii, 'latin1'));

/** A section of any type. */
export function section(type: number, body: Uint8Array, extended = false): Uint8Array {
  const size = body.length + (extended ? 8 : 4);
  const header = extended ? join(u24(0xffffff), Uint8Array.of(type), u32(size)) : join(u24(size), Uint8Array.of(type));
  return join(header, body);
}

/** Sections one after another, each on a multiple of 4. */
export const sections = (...all: readonly Uint8Array[]) =>
  all.reduce((sum, one) => join(pad(sum, 4), one), new Uint8Array());

export function guidSection(guid: string, attributes: number, data: Uint8Array, extended = false): Uint8Array {
  const offset = (extended ? 8 : 4) + 20;
  return section(2, join(guidToBytes(guid), u16(offset), u16(attributes), data), extended);
}

/** A GUID-defined section whose content is LZMA, in literals only. */
export const lzmaSection = (content: Uint8Array) => guidSection(LZMA, 1, lzmaLiterals(content));

export interface FileOptions {
  readonly name?: string;
  readonly type?: number;
  readonly large?: boolean;
  readonly state?: number;
  readonly erased?: 0 | 0xff;
}

/** A file; its state is "data valid" unless given. */
export function file(body: Uint8Array, over: FileOptions = {}): Uint8Array {
  const { name = NAME, type = 0x07, large = false, state = 0x07, erased = 0xff } = over;
  const headerSize = large ? 32 : 24;
  const size = headerSize + body.length;
  const header = join(
    guidToBytes(name),
    Uint8Array.of(0, 0xaa, type, large ? 0x01 : 0),
    u24(large ? 0xffffff : size),
    Uint8Array.of(state ^ erased),
    large ? u64(size) : new Uint8Array(),
  );
  header[16] = checksum8(header);
  return join(header, body);
}

/** Returns the header checksum of a file, which leaves state and file checksum out. */
export function checksum8(header: Uint8Array): number {
  const sum = header.reduce((total, byte, i) => (i === 16 || i === 17 || i === 23 ? total : total + byte), 0);
  return -sum & 0xff;
}

export interface VolumeOptions {
  readonly fileSystem?: string;
  readonly size?: number;
  readonly extended?: boolean;
  readonly erased?: 0 | 0xff;
}

/** A volume with files, filled up with erased bytes. */
export function volume(files: readonly Uint8Array[], over: VolumeOptions = {}): Uint8Array {
  const { fileSystem = FFS2, extended = false, erased = 0xff } = over;
  const ext = extended ? join(guidToBytes(NAME), u32(20)) : new Uint8Array();
  const headerSize = 72;
  const content = files.reduce((sum, one) => join(pad(sum, 8, erased), one), pad(ext, 8, erased));
  const size = over.size ?? Math.ceil((headerSize + content.length) / PAGE) * PAGE;
  const header = join(
    new Uint8Array(16),
    guidToBytes(fileSystem),
    u64(size),
    text('_FVH'),
    u32(erased === 0xff ? 0x800 : 0),
    u16(headerSize),
    u16(0),
    u16(extended ? headerSize : 0),
    Uint8Array.of(0, 2),
    join(u32(Math.ceil(size / PAGE)), u32(PAGE), u64(0)),
  );
  const out = new Uint8Array(Math.max(size, headerSize + content.length)).fill(erased);
  out.set(header);
  out.set(content, headerSize);
  return seal(out.subarray(0, size));
}

/** Sets the checksum of a volume's header. */
export function seal(image: Uint8Array): Uint8Array {
  image.set(u16(0), 50);
  let sum = 0;
  for (let i = 0; i < 72; i += 2) sum += (image[i] ?? 0) + 256 * (image[i + 1] ?? 0);
  image.set(u16(-sum & 0xffff), 50);
  return image;
}

/** Compresses with lc=3, lp=0, pb=2 and no matches. */
export function lzmaLiterals(content: Uint8Array): Uint8Array {
  return join(Uint8Array.of(0x5d), u32(1 << 16), u64(content.length), literals(content));
}

function literals(content: Uint8Array): Uint8Array {
  const out: number[] = [];
  const isMatch = new Uint16Array(4).fill(1024);
  const probabilities = new Uint16Array(0x300 << 3).fill(1024);
  let low = 0n;
  let range = 0xffffffff;
  let cache = 0;
  let pending = 1;
  const shift = () => {
    if (low < 0xff000000n || low >= 1n << 32n) {
      const carry = Number(low >> 32n);
      let byte = cache;
      do {
        out.push((byte + carry) & 0xff);
        byte = 0xff;
      } while (--pending > 0);
      cache = Number((low >> 24n) & 0xffn);
    }
    pending++;
    low = (low & 0xffffffn) << 8n;
  };
  const encode = (table: Uint16Array, index: number, bit: number) => {
    const p = table[index] ?? 0;
    const bound = (range >>> 11) * p;
    if (bit === 0) {
      range = bound;
      table[index] = p + ((2048 - p) >> 5);
    } else {
      low += BigInt(bound);
      range -= bound;
      table[index] = p - (p >> 5);
    }
    while (range < 1 << 24) {
      range = (range << 8) >>> 0;
      shift();
    }
  };
  content.forEach((byte, at) => {
    encode(isMatch, at & 3, 0);
    const base = 0x300 * ((at === 0 ? 0 : (content[at - 1] ?? 0)) >> 5);
    let symbol = 1;
    for (let i = 7; i >= 0; i--) {
      const bit = (byte >> i) & 1;
      encode(probabilities, base + symbol, bit);
      symbol = (symbol << 1) | bit;
    }
  });
  for (let i = 0; i < 5; i++) shift();
  return Uint8Array.from(out);
}

/** One entry of the footer table. */
export const footerEntry = (guid: string, data: Uint8Array) => join(data, u16(data.length + 18), guidToBytes(guid));

/** Puts a footer table (first entry walked last) and a reset vector after `before`. */
export function withFooter(before: Uint8Array, ...entries: readonly Uint8Array[]): Uint8Array {
  const body = join(...entries);
  const footer = join(u16(body.length + 18), guidToBytes('96b582de-1fb2-45f7-baea-a366c55a082d'));
  return join(before, body, footer, new Uint8Array(32));
}

export const sevMetadata = (all: readonly (readonly [gpa: number, size: number, type: number])[]) =>
  join(text('ASEV'), u32(16 + 12 * all.length), u32(1), u32(all.length), ...all.flat().map(u32));

export const tdxMetadata = (all: NonNullable<Tables['tdx']>) =>
  join(
    text('TDVF'),
    u32(16 + 32 * all.length),
    u32(1),
    u32(all.length),
    ...all.map(({ at, size, type, gpa = 0xffff0000 + at, memory = size, attributes = type === 0 ? 1 : 0 }) =>
      join(u32(at), u32(size), u64(gpa), u64(memory), u32(type), u32(attributes)),
    ),
  );

/** A section of the TDX metadata: where its data is in the image, and its type; by default it lies where a 64 KiB image puts it. */
export interface TdxEntry {
  readonly at: number;
  readonly size: number;
  readonly type: number;
  readonly gpa?: number | bigint;
  readonly memory?: number | bigint;
  /** Default: 1 (measured) for type 0, otherwise 0. */
  readonly attributes?: number;
}

/** The sections of a build for TDX, by name. */
export const TDVF = {
  bfv: { at: 0x2000, size: 0xe000, type: 0 },
  cfv: { at: 0, size: 0x2000, type: 1 },
  tempMem: { at: 0, size: 0, type: 3, gpa: 0x810000, memory: 0x3000 },
  tdHob: { at: 0, size: 0, type: 2, gpa: 0x809000, memory: 0x2000 },
} as const satisfies Record<string, TdxEntry>;

export interface Tables {
  readonly hashArea?: readonly [number, number];
  readonly secretArea?: readonly [number, number];
  readonly reset?: number;
  readonly sev?: readonly (readonly [number, number, number])[];
  /** Sections of the TDX metadata. */
  readonly tdx?: readonly TdxEntry[];
}

/** What AmdSev builds offer. */
export const AMDSEV: Tables = {
  hashArea: [0x810c00, 0x400],
  secretArea: [0x810000, 0xc00],
  reset: 0x80b004,
  sev: [
    [0x800000, 0x9000, 1],
    [0x80d000, 0x1000, 2],
    [0x80e000, 0x1000, 3],
    [0x810000, 0x1000, 0x10],
  ],
};

/** The last page of an image. */
export function lastPage(tables: Tables): Uint8Array {
  const entries: Uint8Array[] = [];
  const add = (guid: string, ...numbers: readonly number[]) =>
    entries.push(footerEntry(guid, join(...numbers.map(u32))));
  const sev = tables.sev === undefined ? new Uint8Array() : sevMetadata(tables.sev);
  const metadata = tables.tdx === undefined ? sev : join(sev, tdxMetadata(tables.tdx));
  if (tables.sev !== undefined) add('dc886566-984a-4798-a75e-5585a7bf67cc', PAGE);
  if (tables.tdx !== undefined) add('e47a6535-984a-4798-865e-4685a7bf8ec2', PAGE - sev.length);
  if (tables.hashArea !== undefined) add('7255371f-3a3b-4b04-927b-1da6efa8d454', ...tables.hashArea);
  if (tables.secretArea !== undefined) add('4c2eb361-7d9b-4cc3-8081-127c90d3d294', ...tables.secretArea);
  if (tables.reset !== undefined) add('00f771de-1a7e-4fcb-890e-68c77e2fb44e', tables.reset);
  const tail = withFooter(new Uint8Array(), ...entries);
  return join(metadata, new Uint8Array(PAGE - metadata.length - tail.length), tail);
}

/** What the compressed volume of an image holds. */
export interface Inside {
  readonly secretPei?: boolean;
  readonly secretDxe?: boolean;
  /** The code section of a driver. */
  readonly code?: Uint8Array;
  readonly more?: readonly Uint8Array[];
  readonly dxeCore?: boolean;
}

export const VERIFIER = join(text('MZ code '), ...HASH_GUIDS.map(guidToBytes), text(' code'));

/** Files of a volume as `Inside` says. */
export function driverVolume(inside: Inside): Uint8Array {
  const { secretPei = true, secretDxe = true, code = VERIFIER, more = [], dxeCore = true } = inside;
  const some = section(0x10, text('MZ'));
  return volume([
    ...(dxeCore ? [file(some, { type: 0x05 })] : []),
    ...(secretPei ? [file(some, { name: SECRET_PEI, type: 0x06 })] : []),
    ...(secretDxe ? [file(some, { name: SECRET_DXE })] : []),
    file(section(0x10, code)),
    ...more,
  ]);
}

/** A whole image of `size` bytes: variables, a volume with the drivers compressed, filling, tables. */
export function firmwareImage(tables: Tables = AMDSEV, inside: Inside = {}, size = 0x10000): Uint8Array {
  const drivers = lzmaSection(section(0x17, driverVolume(inside)));
  const volumes = join(volume([], { fileSystem: VARIABLES, size: 2 * PAGE }), volume([file(drivers, { type: 0x0b })]));
  const filling = new Uint8Array(size - PAGE - volumes.length).fill(0xff);
  return join(volumes, filling, lastPage(tables));
}
