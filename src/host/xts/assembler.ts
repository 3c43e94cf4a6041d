/**
 * @module The few instructions of WebAssembly that whiten.ts is written in, as bytes (WebAssembly Core Specification 2.0,
 * sections 5.3 to 5.5). An instruction is an array of bytes; a program is arrays one after another.
 */

/** Encoded instructions. */
export type Code = readonly number[];

/** Value types (section 5.3.1, 5.3.2). */
export const I32 = 0x7f;
export const V128 = 0x7b;

/** Returns an unsigned number in LEB128 (section 5.2.2). */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...unsigned(Math.floor(value / 0x80))];
}

/** Returns a signed number in LEB128 (section 5.2.2). */
function signed(value: number): number[] {
  if (value >= -0x40 && value < 0x40) return [value & 0x7f];
  return [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

const simd = (opcode: number, ...immediate: number[]): Code => [0xfd, ...unsigned(opcode), ...immediate];

/** Natural alignment of a vector, as a power of two, and the offset 0. */
const MEMARG = [4, 0];

/** Instructions, under the names of the specification. */
export const wasm = {
  localGet: (local: number): Code => [0x20, ...unsigned(local)],
  localSet: (local: number): Code => [0x21, ...unsigned(local)],
  localTee: (local: number): Code => [0x22, ...unsigned(local)],
  i32Const: (value: number): Code => [0x41, ...signed(value)],
  i32Add: [0x6a] as Code,
  i32Sub: [0x6b] as Code,
  i32Shl: [0x74] as Code,
  v128Load: simd(0x00, ...MEMARG),
  v128Store: simd(0x0b, ...MEMARG),
  v128Const: (bytes: readonly number[]): Code => simd(0x0c, ...bytes),
  i8x16Shuffle: (lanes: readonly number[]): Code => simd(0x0d, ...lanes),
  v128And: simd(0x4e),
  v128Xor: simd(0x51),
  i32x4ShrS: simd(0xac),
  i64x2Shl: simd(0xcb),
  /** Runs `body`, which leaves a number on the stack, until that number is zero. */
  loopWhile: (...body: readonly Code[]): Code => [0x03, 0x40, ...body.flat(), 0x0d, 0x00, 0x0b],
};

/** A function without results. */
export interface WasmFunction {
  readonly name: string;
  /** Types of the parameters; they are the first locals. */
  readonly parameters: readonly number[];
  /** Types of the other locals. */
  readonly locals: readonly number[];
  readonly code: Code;
}

/** Returns the bytes of a module that exports one function, and `memory` of `pages` × 64 KiB. */
export function assemble({ name, parameters, locals, code }: WasmFunction, pages: number): Uint8Array<ArrayBuffer> {
  const type = [0x60, ...vector(parameters.map((parameter) => [parameter])), 0];
  const body = [...vector(locals.map((local) => [1, local])), ...code, 0x0b];
  const memory = [0x01, ...unsigned(pages), ...unsigned(pages)];
  const exports = [
    [...text('memory'), 0x02, 0],
    [...text(name), 0x00, 0],
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [type]),
    ...section(3, [[0]]),
    ...section(5, [memory]),
    ...section(7, exports),
    ...section(10, [[...unsigned(body.length), ...body]]),
  ]);
}

function section(id: number, entries: readonly Code[]): number[] {
  const content = vector(entries);
  return [id, ...unsigned(content.length), ...content];
}

function vector(entries: readonly Code[]): number[] {
  return [...unsigned(entries.length), ...entries.flat()];
}

function text(name: string): number[] {
  return [...unsigned(name.length), ...Buffer.from(name, 'ascii')];
}
