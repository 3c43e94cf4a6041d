import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { planVerity, type VerityPlan } from '../../src/core/disk/verity-disk.ts';
import { verityManifest } from '../../src/core/disk/verity-manifest.ts';
import { bytesToHex, hexToBytes } from '../../src/core/hex.ts';
import { type RawSource, withSource } from '../../src/host/image/source.ts';
import { writeVerity } from '../../src/host/image/write-verity.ts';
import { scratch } from '../cli/script.ts';
import { vectors } from '../fixtures.ts';
import { numberedBlocks, type VerityVectors } from '../verity-data.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const { salt, uuid, cases } = vectors<VerityVectors>('verity.json');
const at = (name: string): string => path.join(folder, name);

/** Salt and UUID are all that is random. */
function plan(size: number): VerityPlan {
  return planVerity(size, undefined, (length) => hexToBytes(length === 32 ? salt : uuid.replaceAll('-', '')));
}

function write(planned: VerityPlan, source: RawSource, stop = new AbortController(), onProgress = (_: number) => {}) {
  const part = (file: string) => ({ file: at(file), mode: 0o644, replace: false });
  const describeDisk = (rootHash: Uint8Array) =>
    verityManifest(planned, rootHash, {
      ...{ testOnly: false, image: 'disk', partitionTable: null },
      payload: { bytes: source.size, what: null },
    });
  const files = { image: part('disk'), manifest: part('disk.json') };
  return writeVerity(planned, source, files, describeDisk, { onProgress, stop: stop.signal });
}

describe('writeVerity', () => {
  it.each(cases)('writes what veritysetup writes, $blocks blocks', async ({ blocks, rootHash, treeSha256 }) => {
    const data = numberedBlocks(blocks);
    fs.writeFileSync(at('raw'), data);
    const planned = plan(data.length);
    expect(bytesToHex(planned.salt)).toBe(salt);
    const told: number[] = [];
    const manifest = await withSource(at('raw'), (source) =>
      write(planned, source, undefined, (done) => void told.push(done)),
    );
    expect(manifest.verity.rootHash).toBe(rootHash);
    // Its superblock may have another UUID: version and variant are bits of it.
    const disk = fs.readFileSync(at('disk'));
    expect(Buffer.compare(disk.subarray(0, data.length), data)).toBe(0);
    disk.set(hexToBytes(uuid.replaceAll('-', '')), data.length + 16);
    expect(createHash('sha256').update(disk.subarray(data.length)).digest('hex')).toBe(treeSha256);
    expect(JSON.parse(fs.readFileSync(at('disk.json'), 'utf8'))).toEqual(manifest);
    expect(told.at(-1)).toBe(data.length);
  });

  it('fills up the last block with zeros', async () => {
    const [short, filled] = [numberedBlocks(300).subarray(0, -4000), numberedBlocks(300)];
    filled.fill(0, -4000);
    const roots: string[] = [];
    for (const [name, data] of Object.entries({ short, filled })) {
      fs.writeFileSync(at(name), data);
      const manifest = await withSource(at(name), (source) => write(plan(data.length), source));
      roots.push(manifest.verity.rootHash);
      for (const made of ['disk', 'disk.json']) fs.rmSync(at(made));
    }
    expect(roots[0]).toBe(roots[1]);
  });

  it('leaves nothing of a source that is cut off meanwhile', async () => {
    fs.writeFileSync(at('raw'), numberedBlocks(1000));
    const written = withSource(at('raw'), (source) =>
      write(plan(source.size + 1), { ...source, size: source.size + 1 }),
    );
    await expect(written).rejects.toMatchObject({ kind: 'io', message: expect.stringContaining('became shorter') });
    expect(fs.readdirSync(folder)).toEqual(['raw']);
  });

  it('leaves nothing of a source that is written to meanwhile', async () => {
    fs.writeFileSync(at('raw'), numberedBlocks(1000));
    const touch = () => fs.utimesSync(at('raw'), 1, 1);
    const written = withSource(at('raw'), (source) => write(plan(source.size), source, undefined, touch));
    await expect(written).rejects.toMatchObject({ kind: 'io', message: expect.stringContaining('was changed') });
    expect(fs.readdirSync(folder)).toEqual(['raw']);
  });

  it('leaves nothing of a source that is no longer what it was when its salt was made', async () => {
    fs.writeFileSync(at('raw'), numberedBlocks(1000));
    const written = withSource(at('raw'), (source) =>
      write(plan(source.size), { ...source, state: { mtimeNs: 1n, size: BigInt(source.size) } }),
    );
    await expect(written).rejects.toMatchObject({ kind: 'io', message: expect.stringContaining('was changed') });
    expect(fs.readdirSync(folder)).toEqual(['raw']);
  });

  it('leaves nothing when it is stopped', async () => {
    fs.writeFileSync(at('raw'), numberedBlocks(1000));
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    const written = withSource(at('raw'), (source) => write(plan(source.size), source, stop));
    await expect(written).rejects.toThrow('enough');
    expect(fs.readdirSync(folder)).toEqual(['raw']);
  });
});
