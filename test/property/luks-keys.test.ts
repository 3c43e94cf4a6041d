import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerState, repairStages, withWrites } from '../../src/core/luks/header-change.ts';
import { readHeader, unlock } from '../../src/core/luks/image.ts';
import { changeKeyslots } from '../../src/core/luks/keyslot-change.ts';
import { parsePinnedHeader } from '../../src/core/luks/manifest-change.ts';
import { type PlanOptions, plan } from '../../src/core/luks/plan.ts';
import { hinted } from '../failure.ts';
import { memoryDisk, nodeLuksCrypto, seededRandom } from '../luks-image.ts';
import { keyslotsOf, tornDisk } from '../torn-writes.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const kdf = { type: 'pbkdf2', iterations: 1000 } as const;
const keys = ['one', 'two'].map((text) => ({ passphrase: bytes(text), kdf }));
const options: PlanOptions = {
  ...{ version: 2, dataSize: 512, keySize: 32, sectorSize: 512, detached: true },
  ...{ headerSize: 0x8000 + 3 * 131072, keys },
};

const { extents } = await plan(options, seededRandom(3), nodeLuksCrypto);
const before = new Uint8Array(options.headerSize);
for (const extent of extents) if (extent.kind === 'bytes') before.set(extent.bytes, extent.at);
const header = await readHeader(memoryDisk(before));
const opened = await unlock(header, memoryDisk(before), bytes('one'), nodeLuksCrypto);

describe('keyslots', () => {
  it('replaced, with any sectors of any stage written: nothing is locked out, and the rest can be done', async () => {
    const inputs = { random: seededRandom(9), crypto: nodeLuksCrypto };
    const add = { key: { passphrase: bytes('new'), kdf }, opened, replaces: 0 };
    const change = await changeKeyslots(header, { add, remove: [0] }, inputs);
    const opens = keyslotsOf;
    const stage = fc.integer({ min: 0, max: change.stages.length - 1 });
    await fc.assert(
      fc.asyncProperty(stage, fc.infiniteStream(fc.boolean()), async (number, coin) => {
        const coins = Array.from({ length: 600 }, () => coin.next().value === true);
        const torn = tornDisk(before, change.stages, number, (sector) => coins[sector] === true);
        const found = await readHeader(memoryDisk(torn));
        expect(change.states).toContain(headerState(found));
        expect(await opens(torn, 'two')).toHaveLength(1);
        expect((await opens(torn, 'one')).length + (await opens(torn, 'new')).length).toBeGreaterThan(0);
        const mended = found.version === 1 ? torn : repairStages(found, seededRandom(2)).reduce(withWrites, torn);
        expect(headerState(await readHeader(memoryDisk(mended)))).toBe(headerState(found));
      }),
      { numRuns: 25 },
    );
  });
});

describe('manifests', () => {
  const good = {
    format: 'bootseal-image-1',
    header: { bytes: 1, sha256: '0'.repeat(64) },
    keyslots: [{ keyslot: 0, purpose: 'recovery' }],
    keyChange: { states: ['1'.repeat(64)], removal: { state: '1'.repeat(64), keyslots: [1] } },
  };
  const parse = (text: string) => {
    try {
      parsePinnedHeader(bytes(text), 'm');
    } catch (error) {
      expect(hinted(error).kind).toBe('format');
    }
  };

  it('of any JSON are read or refused', () => {
    fc.assert(fc.property(fc.json(), parse));
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (a, b, c) => {
        parse(JSON.stringify({ ...good, header: a }));
        parse(JSON.stringify({ ...good, keyslots: [b], keyChange: { states: [c], removal: a } }));
        parse(JSON.stringify({ ...good, keyChange: c }));
      }),
    );
  });

  it('with any change of their text are read or refused', () => {
    const text = JSON.stringify(good);
    const place = fc.integer({ min: 0, max: text.length });
    fc.assert(fc.property(place, fc.string(), (at, piece) => parse(text.slice(0, at) + piece + text.slice(at + 1))));
  });
});
