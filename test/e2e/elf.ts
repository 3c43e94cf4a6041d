/** @module Which shared libraries a program needs: the dynamic section of a 64-bit little-endian ELF file (elf(5)). */
import * as fs from 'node:fs';

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;

/** Returns the names of the libraries that a program asks for, and the path of its loader; nothing for what is no ELF file. */
export function neededBy(file: string): { readonly libraries: readonly string[]; readonly loader: string | undefined } {
  const elf = fs.readFileSync(file);
  if (elf.subarray(0, 4).toString('latin1') !== '\x7fELF') return { libraries: [], loader: undefined };
  const headers = segmentsOf(elf);
  const stringAt = (offset: number) => elf.toString('latin1', offset, elf.indexOf(0, offset));
  const interpreter = headers.find(({ type }) => type === PT_INTERP);
  const loader = interpreter === undefined ? undefined : stringAt(interpreter.offset);
  const dynamic = headers.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return { libraries: [], loader };
  const entries: (readonly [bigint, number])[] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    entries.push([elf.readBigUInt64LE(at), Number(elf.readBigUInt64LE(at + 8))]);
  }
  const address = entries.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0;
  const holder = headers.find(
    ({ type, address: start, size }) => type === PT_LOAD && address >= start && address < start + size,
  );
  if (holder === undefined) throw new Error(`${file}: its strings are in no segment`);
  const strings = address - holder.address + holder.offset;
  const libraries = entries.filter(([tag]) => tag === DT_NEEDED).map(([, offset]) => stringAt(strings + offset));
  return { libraries, loader };
}

function segmentsOf(elf: Buffer) {
  const start = Number(elf.readBigUInt64LE(32));
  const size = elf.readUInt16LE(54);
  return Array.from({ length: elf.readUInt16LE(56) }, (_, i) => {
    const at = start + i * size;
    return {
      type: elf.readUInt32LE(at),
      offset: Number(elf.readBigUInt64LE(at + 8)),
      address: Number(elf.readBigUInt64LE(at + 16)),
      size: Number(elf.readBigUInt64LE(at + 32)),
    };
  });
}
