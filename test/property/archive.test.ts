import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PASS } from '../../src/core/archive/compression.ts';
import { encodeMember, encodeTrailer, FILE_TYPE, fill } from '../../src/core/archive/cpio.ts';
import { readCpio, readCpios } from '../../src/core/archive/read-cpio.ts';
import { findSegments } from '../../src/core/archive/segments.ts';
import { diskSource, streamSource } from '../../src/core/archive/source.ts';
import { concat } from '../../src/core/bytes.ts';
import { hexToBytes } from '../../src/core/hex.ts';
import { hinted } from '../failure.ts';
import { vectors } from '../fixtures.ts';
import { memoryDisk } from '../luks-image.ts';

const samples = vectors<{ cpio: string; compressed: { hex: string }[] }>('initrd-segments.json');
const real = [samples.cpio, ...samples.compressed.map(({ hex }) => hex)].map(hexToBytes);

/** Real segments behind one another, some bytes changed and perhaps cut short. */
const mutated = fc
  .tuple(
    fc.array(fc.constantFrom(...real), { minLength: 1, maxLength: 4 }),
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
    fc.nat(),
  )
  .map(([parts, changes, cut]) => {
    const joined = concat(...parts.flatMap((part) => [part, new Uint8Array(fill(part.length))]));
    const copy = joined.slice(0, cut % 4 === 0 ? cut % (joined.length + 1) : joined.length);
    for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value;
    return copy;
  });

async function survives(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    expect(hinted(error).kind).toBe('format');
  }
}

/** Stands for the host's: passes what it is given in full. */
const passAll = async (source: { skip(size: number): Promise<number> }) => void (await source.skip(1 << 20));

async function readAll(bytes: Uint8Array): Promise<void> {
  for await (const { name, size } of readCpios(diskSource(memoryDisk(bytes), 0))) {
    expect(name.length).toBeLessThan(4096);
    expect(size).toBeLessThan(2 ** 32);
  }
}

describe('an initrd', () => {
  it('of real segments with changed bytes is read or refused, and what is found lies in it, in order', async () => {
    await fc.assert(
      fc.asyncProperty(mutated, async (bytes) => {
        await survives(() => readAll(bytes));
        await survives(async () => {
          let end = 0;
          for (const { offset, size } of await findSegments(memoryDisk(bytes), passAll)) {
            expect(offset).toBeGreaterThanOrEqual(end);
            expect(size).toBeGreaterThan(0);
            end = offset + size;
          }
          expect(end).toBeLessThanOrEqual(bytes.length);
        });
        for (const pass of Object.values(PASS)) await survives(() => pass(diskSource(memoryDisk(bytes), 0)));
      }),
      { numRuns: 1000 },
    );
  });

  it('of random bytes is refused or read', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await survives(() => readAll(bytes));
        await survives(() => readAll(concat(Buffer.from('070701'), bytes)));
        await survives(() => findSegments(memoryDisk(bytes), passAll));
      }),
    );
  });
});

describe('an archive', () => {
  const name = fc
    .array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.map((part) => `_${part.replaceAll(/[/\0]/g, '_')}`).join('/'));

  it('is read as it was written, in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 50 })), { maxLength: 6 }),
        fc.integer({ min: 1, max: 200 }),
        async (files, piece) => {
          const parts = files.map(([path, data], i) =>
            concat(
              encodeMember({ name: path, mode: FILE_TYPE.file | 0o600, size: data.length }, i + 1),
              data,
              new Uint8Array(fill(data.length)),
            ),
          );
          const bytes = concat(...parts, encodeTrailer());
          expect(bytes.length % 4).toBe(0);
          const pieces = async function* () {
            for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
          };
          const found: [string, Uint8Array][] = [];
          const source = streamSource(pieces());
          for await (const member of readCpio(source)) {
            found.push([member.name, new Uint8Array(await source.peek(member.size))]);
          }
          expect(found).toEqual(files);
          expect(source.position).toBe(bytes.length);
        },
      ),
    );
  });
});
