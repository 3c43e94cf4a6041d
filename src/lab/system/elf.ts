/** @module Which shared libraries a program needs: the dynamic section of a 64-bit little-endian ELF file (elf(5)). */
import { BootsealError } from '../../core/errors.ts';

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;

const MAGIC = '\x7fELF';
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const FILE_HEADER = 64;
const PROGRAM_HEADER = 56;
const DYNAMIC_ENTRY = 16;

/** What a program asks for. */
export interface Needed {
  /** Names of libraries. */
  readonly libraries: readonly string[];
  /** Path of the loader; undefined for a static program. */
  readonly loader: string | undefined;
}

/** Returns what a program asks for; nothing for what is no ELF file. Throws `format` for a broken one, `name` in the message. */
export function neededBy(elf: Buffer, name: string): Needed {
  if (elf.toString('latin1', 0, 4) !== MAGIC) return { libraries: [], loader: undefined };
  const headers = programHeaders(elf, name);
  const interpreter = headers.find(({ type }) => type === PT_INTERP);
  const loader = interpreter === undefined ? undefined : textAt(elf, interpreter.offset, name);
  const dynamic = headers.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return { libraries: [], loader };
  const entries: (readonly [bigint, number])[] = [];
  for (let at = dynamic.offset; at + DYNAMIC_ENTRY <= dynamic.offset + dynamic.size; at += DYNAMIC_ENTRY) {
    need(elf, at, DYNAMIC_ENTRY, name);
    entries.push([elf.readBigUInt64LE(at), Number(elf.readBigUInt64LE(at + 8))]);
  }
  const address = entries.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0;
  const holder = headers.find(
    ({ type, address: start, size }) => type === PT_LOAD && address >= start && address < start + size,
  );
  if (holder === undefined) throw broken(name, 'its strings are in no segment');
  const strings = address - holder.address + holder.offset;
  const libraries = entries.filter(([tag]) => tag === DT_NEEDED).map(([, at]) => textAt(elf, strings + at, name));
  return { libraries, loader };
}

function programHeaders(elf: Buffer, name: string) {
  need(elf, 0, FILE_HEADER, name);
  if (elf[4] !== CLASS_64 || elf[5] !== LITTLE_ENDIAN) throw broken(name, 'no program of a 64-bit x86 machine');
  const start = Number(elf.readBigUInt64LE(32));
  const size = elf.readUInt16LE(54);
  if (size < PROGRAM_HEADER) throw broken(name, 'its program headers are too short');
  return Array.from({ length: elf.readUInt16LE(56) }, (_, i) => {
    const at = start + i * size;
    need(elf, at, PROGRAM_HEADER, name);
    return {
      type: elf.readUInt32LE(at),
      offset: Number(elf.readBigUInt64LE(at + 8)),
      address: Number(elf.readBigUInt64LE(at + 16)),
      size: Number(elf.readBigUInt64LE(at + 32)),
    };
  });
}

function textAt(elf: Buffer, at: number, name: string): string {
  const end = at < elf.length ? elf.indexOf(0, at) : -1;
  if (end === -1) throw broken(name, 'a text in it has no end');
  return elf.toString('latin1', at, end);
}

function need(elf: Buffer, at: number, size: number, name: string): void {
  if (at + size > elf.length) throw broken(name, 'it ends too early');
}

function broken(name: string, what: string): BootsealError {
  return new BootsealError('format', `${name}: ${what}`, {
    hint: 'unpack the package with this file again, for amd64',
  });
}
