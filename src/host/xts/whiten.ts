/**
 * @module The inner loop of AES-XTS (IEEE 1619-2018, section 5.3), in WebAssembly with SIMD: each block of a sector is XORed with
 * its tweak, and the next block's tweak is this one times x in GF(2^128). JavaScript has no way to do it at the speed of memory.
 *
 * The module is assembled from this source at every start; no binary is kept.
 */
import { assemble, type Code, I32, V128, wasm } from './assembler.ts';

/** Sectors that are worked on at once: the chain of tweaks within one sector leaves three quarters of the processor idle. */
export const LANES = 4;

/** Bytes of the first page of memory hold the tweak of each sector, 16 bytes each; the block of sectors follows. */
export const BLOCK_AT = 0x10000;

/** Bytes: what is read, encrypted and written at once. */
export const BLOCK_SIZE = 1 << 20;

/** What the module exports. */
export interface Whiten {
  readonly memory: { readonly buffer: ArrayBuffer };
  /**
   * XORs sectors in place with their tweaks.
   *
   * @param data address of the first sector
   * @param tweaks address of its tweak
   * @param groups number of sectors / 4, at least 1
   * @param blocks number of 16-byte blocks in a sector, at least 1
   */
  whiten(data: number, tweaks: number, groups: number, blocks: number): void;
}

const [DATA, TWEAKS, GROUPS, BLOCKS] = [0, 1, 2, 3];
const [STRIDE, LEFT, SIGNS] = [4, 5, 6];
const POINTER = (lane: number): number => 7 + lane;
const TWEAK = (lane: number): number => 7 + LANES + lane;

const { localGet, localSet, localTee, i32Const, i32Add, i32Sub, i32Shl } = wasm;
const lanes = (make: (lane: number) => readonly Code[]): Code[] =>
  Array.from({ length: LANES }, (_, lane) => make(lane)).flat();

/** Adds to a local. */
const advance = (local: number, by: Code): Code[] => [localGet(local), by, i32Add, localSet(local)];

/** Points a lane at its sector and loads its tweak. */
const start = (lane: number): Code[] => [
  localGet(lane === 0 ? DATA : POINTER(lane - 1)),
  ...(lane === 0 ? [] : [localGet(STRIDE), i32Add]),
  localSet(POINTER(lane)),
  ...[localGet(TWEAKS), i32Const(16 * lane), i32Add, wasm.v128Load, localSet(TWEAK(lane))],
];

/** XORs a lane's block with its tweak. */
const mask = (lane: number): Code[] => [
  ...[localGet(POINTER(lane)), localGet(POINTER(lane)), wasm.v128Load],
  ...[localGet(TWEAK(lane)), wasm.v128Xor, wasm.v128Store],
];

// The top bit of the lower half moves into the upper half; that of the upper half becomes x^7 + x^2 + x + 1.
const HIGH_WORDS = [...[12, 13, 14, 15], ...[12, 13, 14, 15], ...[4, 5, 6, 7], ...[4, 5, 6, 7]];
const CARRIES = [...[0x87, 0, 0, 0, 0, 0, 0, 0], ...[1, 0, 0, 0, 0, 0, 0, 0]];

/** Multiplies a lane's tweak by x: both halves shifted left, and what falls out of each carried into the other. */
const double = (lane: number): Code[] => [
  ...[localGet(TWEAK(lane)), i32Const(1), wasm.i64x2Shl],
  ...[localGet(TWEAK(lane)), i32Const(31), wasm.i32x4ShrS, localTee(SIGNS), localGet(SIGNS)],
  ...[wasm.i8x16Shuffle(HIGH_WORDS), wasm.v128Const(CARRIES), wasm.v128And, wasm.v128Xor, localSet(TWEAK(lane))],
];

const countDown = (local: number): Code[] => [localGet(local), i32Const(1), i32Sub, localTee(local)];

const CODE: readonly Code[] = [
  ...[localGet(BLOCKS), i32Const(4), i32Shl, localSet(STRIDE)],
  wasm.loopWhile(
    ...lanes(start),
    ...[localGet(BLOCKS), localSet(LEFT)],
    wasm.loopWhile(
      ...lanes(mask),
      ...lanes(double),
      ...lanes((lane) => advance(POINTER(lane), i32Const(16))),
      ...countDown(LEFT),
    ),
    ...advance(TWEAKS, i32Const(16 * LANES)),
    // The last lane has come to the end of its sector, where the next group begins.
    ...[localGet(POINTER(LANES - 1)), localSet(DATA)],
    ...countDown(GROUPS),
  ),
];

/** Returns the module's bytes. */
export function whitenModule(): Uint8Array<ArrayBuffer> {
  const parameters = [I32, I32, I32, I32];
  const locals = [I32, I32, V128, ...Array(LANES).fill(I32), ...Array(LANES).fill(V128)];
  const pages = (BLOCK_AT + BLOCK_SIZE) / 0x10000;
  return assemble({ name: 'whiten', parameters, locals, code: CODE.flat() }, pages);
}
