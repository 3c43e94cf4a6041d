/** @module Fixture files of test/fixtures; those stored as `.br` (Brotli) are unpacked on the way. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

const ROOT = path.join(import.meta.dirname, 'fixtures');
const unpacked = new Map<string, Uint8Array>();

/** Returns the bytes of a fixture named as in test/vectors: its path below test/fixtures without `.br`. */
export function fixture(name: string): Uint8Array {
  const known = unpacked.get(name);
  if (known !== undefined) return known;
  const file = path.join(ROOT, name);
  const bytes = fs.existsSync(file) ? fs.readFileSync(file) : brotliDecompressSync(fs.readFileSync(`${file}.br`));
  unpacked.set(name, new Uint8Array(bytes));
  return fixture(name);
}

/** Reads a vector file of test/vectors; numbers that JSON.parse would round come as text. */
export function vectors<T>(name: string): T {
  const text = fs.readFileSync(path.join(import.meta.dirname, 'vectors', name), 'utf8');
  return JSON.parse(text.replaceAll(/: ([0-9]{17,})/g, ': "$1"')) as T;
}
