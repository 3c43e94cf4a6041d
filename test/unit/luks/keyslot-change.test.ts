import { describe, expect, it } from 'vitest';
import { computeDigest } from '../../../src/core/luks/digest.ts';
import { type HeaderChange, headerState, repairStages, withWrites } from '../../../src/core/luks/header-change.ts';
import { type LuksHeader, readHeader, type Unlocked, unlock } from '../../../src/core/luks/image.ts';
import { changeKeyslots, type KeyslotChange } from '../../../src/core/luks/keyslot-change.ts';
import type { Luks2Header } from '../../../src/core/luks/luks2.ts';
import { copiesAgree } from '../../../src/core/luks/luks2.ts';
import { printJson } from '../../../src/core/luks/metadata/json.ts';
import { type NewKey, type PlanOptions, plan } from '../../../src/core/luks/plan.ts';
import { checkHeaderPolicy } from '../../../src/core/luks/policy.ts';
import { fixture } from '../../fixtures.ts';
import { memoryDisk, nodeLuksCrypto, PASSPHRASE, sampleImage, seededRandom } from '../../luks-image.ts';
import { cutDisks, keyslotsOf } from '../../torn-writes.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const cheap = { type: 'pbkdf2', iterations: 1000 } as const;
const key = (text: string, over: Partial<NewKey> = {}): NewKey => ({ passphrase: bytes(text), kdf: cheap, ...over });
const inputs = () => ({ random: seededRandom(77), crypto: nodeLuksCrypto });

const luks2: PlanOptions = {
  version: 2,
  dataSize: 4096,
  keySize: 32,
  sectorSize: 512,
  detached: false,
  headerSize: 0x8000 + 3 * 131072,
  keys: [key('one'), key('two')],
  tokens: [{ meaning: { type: 'bootseal', secret: '736869e5-84f0-4973-92ec-06879ce3da0b' }, keyslots: [0, 1] }],
  label: 'root',
};
const { tokens: _tokens, label: _label, ...rest } = luks2;
const luks1: PlanOptions = { ...rest, version: 1, headerSize: 0x200000 };

async function image(options: PlanOptions): Promise<Uint8Array> {
  const { extents, imageSize } = await plan(options, seededRandom(3), nodeLuksCrypto);
  const all = new Uint8Array(options.detached ? options.headerSize : imageSize);
  for (const extent of extents) if (extent.kind === 'bytes') all.set(extent.bytes, extent.at);
  return all;
}

const opens = keyslotsOf;

interface Case {
  readonly before: Uint8Array;
  readonly header: LuksHeader;
  readonly change: HeaderChange;
  readonly after: Uint8Array;
}

type Wish = (opened: Unlocked) => KeyslotChange;

async function changed(before: Uint8Array, by: Wish, old = 'one'): Promise<Case> {
  const disk = memoryDisk(before);
  const header = await readHeader(disk);
  const opened = await unlock(header, disk, bytes(old), nodeLuksCrypto);
  const change = await changeKeyslots(header, by(opened), inputs());
  return { before, header, change, after: change.stages.reduce(withWrites, before) };
}

const add: Wish = (opened) => ({ add: { key: key('new'), opened }, remove: [] });
const remove: Wish = () => ({ remove: [0] });
const rekey: Wish = (opened) => ({ add: { key: key('new'), opened, replaces: 0 }, remove: [0] });

const current = async (disk: Uint8Array) => ((await readHeader(memoryDisk(disk))) as Luks2Header).current;
const plain = async (disk: Uint8Array) => JSON.parse(printJson((await current(disk)).metadata.json));

describe.each([
  ['LUKS2', luks2],
  ['LUKS2 detached', { ...luks2, detached: true }],
  ['LUKS1', luks1],
  ['LUKS1 detached', { ...luks1, detached: true }],
] as const)('keys of %s', (_name, options) => {
  it('are added', async () => {
    const { after, change, header } = await changed(await image(options), add);
    expect(change).toMatchObject({ added: 2, removed: [], removal: undefined });
    expect([await opens(after, 'one'), await opens(after, 'two'), await opens(after, 'new')]).toEqual([[0], [1], [2]]);
    const found = await readHeader(memoryDisk(after));
    expect(checkHeaderPolicy(found)).toEqual([]);
    expect([change.states[0], change.states.at(-1)]).toEqual([headerState(header), headerState(found)]);
  });

  it('are removed, and their keyslot is overwritten', async () => {
    const { before, after, change, header } = await changed(await image(options), remove);
    expect(change).toMatchObject({
      added: undefined,
      removed: [0],
      removal: { state: headerState(header), keyslots: [0] },
    });
    expect([await opens(after, 'one'), await opens(after, 'two')]).toEqual([[], [1]]);
    // Who has the old header finds nothing in its keyslot any more.
    const start = options.version === 2 ? 0x8000 : 4096;
    const mixed = withWrites(after, [{ at: 0, bytes: before.slice(0, start) }]);
    expect(await opens(mixed, 'one')).toEqual([]);
    expect(await opens(mixed, 'two')).toEqual([1]);
    expect(checkHeaderPolicy(await readHeader(memoryDisk(after)))).toEqual([]);
  });

  it('are replaced, the new one before the old one goes', async () => {
    const { before, after, change } = await changed(await image(options), rekey);
    const at = options.version === 2 ? 0 : 2;
    expect(change).toMatchObject({ added: at, removed: [0], removal: { keyslots: [options.version === 2 ? 2 : 0] } });
    expect([await opens(after, 'one'), await opens(after, 'two'), await opens(after, 'new')]).toEqual([[], [1], [at]]);
    // Area, header, wipe, header.
    const headers = options.version === 2 ? 2 : 1;
    const between = change.stages.slice(0, 1 + headers).reduce(withWrites, before);
    expect(await opens(between, 'new')).toEqual([at]);
    expect(await opens(between, 'one')).toHaveLength(1);
    expect(headerState(await readHeader(memoryDisk(between)))).toBe(change.removal?.state);
  });

  it('are refused when they cannot be', async () => {
    const start = await image(options);
    await expect(changed(start, () => ({ remove: [2] }))).rejects.toMatchObject({
      kind: 'usage',
      message: 'keyslot 2 is not in use',
    });
    const wrong = (over: Partial<NewKey>): Promise<Case> =>
      changed(start, (opened) => ({ add: { key: key('new', over), opened }, remove: [] }));
    await expect(wrong({ passphrase: bytes('') })).rejects.toMatchObject({
      kind: 'usage',
      message: 'the new key is empty',
    });
    await expect(wrong({ kdf: { type: 'pbkdf2', iterations: 999 } })).rejects.toMatchObject({ kind: 'usage' });
  });
});

describe.each([
  ['LUKS2', luks2],
  ['LUKS1', luks1],
] as const)('a change of keys of %s', (_name, options) => {
  it.each([
    ['adding', add, ['one', 'two'], 'new', undefined],
    ['removing', remove, ['two'], undefined, 'one'],
    ['replacing', rekey, ['two'], 'new', 'one'],
  ] as const)(
    'cut off anywhere while %s, the header is one of those announced and opens',
    async (_what, wish, stay, comes, goes) => {
      const { before, header, change } = await changed(await image(options), wish);
      const start = options.version === 2 ? 0x8000 : 4096;
      // Every sector of a header; of keyslots, to which no header refers, some.
      const every = ([write]: HeaderChange['stages'][number]) => ((write?.at ?? 0) < start ? 1 : 97);
      let cuts = 0;
      for (const { at, bytes: disk } of cutDisks(before, change.stages, every)) {
        cuts++;
        const found = await readHeader(memoryDisk(disk));
        expect(change.states, at).toContain(headerState(found));
        for (const text of stay) expect(await opens(disk, text), `${text} at ${at}`).toHaveLength(1);
        // At every moment something opens that the one who makes the change has.
        if (comes !== undefined && goes !== undefined) {
          expect((await opens(disk, comes)).length + (await opens(disk, goes)).length, at).toBeGreaterThan(0);
        }
        const mended = found.version === 1 ? disk : repairStages(found, seededRandom(4)).reduce(withWrites, disk);
        const whole = await readHeader(memoryDisk(mended));
        expect(checkHeaderPolicy(whole), at).toEqual([]);
        expect(headerState(whole)).toBe(headerState(found));
        if (goes === undefined || headerState(whole) !== change.removal?.state || cuts % 3 !== 0) continue;
        const { stages } = await changeKeyslots(whole, { remove: change.removal.keyslots }, inputs());
        const finished = stages.reduce(withWrites, mended);
        expect(headerState(await readHeader(memoryDisk(finished)))).toBe(change.states.at(-1));
        expect(await opens(finished, goes), at).toEqual([]);
      }
      expect(cuts).toBeGreaterThan(change.stages.length);
      expect(headerState(header)).toBe(change.states[0]);
    },
    120_000,
  );
});

describe('keys of LUKS2', () => {
  it('take the first number and the first place that are free', async () => {
    const removed = (await changed(await image(luks2), remove, 'two')).after;
    const { after, change } = await changed(removed, add, 'two');
    expect(change.added).toBe(0);
    expect((await plain(after)).keyslots[0].area.offset).toBe('32768');
    expect(await opens(after, 'new')).toEqual([0]);
    const { json } = (await current(after)).metadata;
    expect([...(json.get('keyslots') as Map<string, unknown>).keys()]).toEqual(['1', '0']);
  });

  it('pass by a gap that is too small', async () => {
    const start = await image(luks2);
    const { keyslots } = await plain(start);
    const gap = sampleImage({
      'keyslots.0.area.offset': '32768',
      'keyslots.1': { ...keyslots[0], key_size: 64, area: { ...keyslots[0].area, offset: '299008', size: '258048' } },
      'digests.0.keyslots': ['0', '1'],
    });
    const header = await readHeader(memoryDisk(gap));
    const opened = { keyslot: 0, volumeKey: seededRandom(5)(64) };
    const change = await changeKeyslots(header, { add: { key: key('new'), opened }, remove: [] }, inputs());
    expect(change.stages[0]?.[0]?.at).toBe(299008 + 258048);
    // 290816 would be right behind the first, but there are only 8192 bytes.
    expect(change.stages[0]?.[0]?.at).not.toBe(290816);
  });

  it('leave everything else as it stands, for tools that know it', async () => {
    const changes = {
      'keyslots.0.comment': 'mine',
      'keyslots.7': {
        type: 'vendor',
        key_size: 3,
        area: { type: 'raw', offset: '786432', size: '4096' },
        more: [1.5, null],
      },
      'digests.0.keyslots': ['0', '7'],
      'digests.3': { type: 'vendor', keyslots: ['7'], segments: [], x: true },
      'tokens.4': {
        type: 'vendor-token',
        keyslots: ['7', '0'],
        deep: { a: [{ b: 18446744073709551615n.toString() }] },
      },
      'tokens.5': { type: 'alone', keyslots: ['0'] },
      'config.flags': ['allow-discards', 'of-tomorrow'],
      vendor: { anything: 'goes' },
    };
    const before = sampleImage(changes);
    const header = await readHeader(memoryDisk(before));
    const opened = { keyslot: 0, volumeKey: seededRandom(5)(64) };
    const add1 = await changeKeyslots(header, { add: { key: key('new'), opened }, remove: [] }, inputs());
    const added = add1.stages.reduce(withWrites, before);
    const expected = await plain(before);
    expected.digests[0].keyslots = ['0', '7', '1'];
    expected.keyslots[1] = (await plain(added)).keyslots[1];
    expect(await plain(added)).toEqual(expected);
    expect((await current(added)).label).toBe('root');

    const { stages } = await changeKeyslots(await readHeader(memoryDisk(added)), { remove: [0] }, inputs());
    const removed = stages.reduce(withWrites, added);
    delete expected.keyslots[0];
    expected.digests[0].keyslots = ['7', '1'];
    expected.tokens[4].keyslots = ['7'];
    expected.tokens[5].keyslots = [];
    expect(await plain(removed)).toEqual(expected);
  });

  it('that belong to no data: their digest goes with the last of them, and no key joins them', async () => {
    const slot = { ...(await plain(await image({ ...luks2, headerSize: 0x100000, keySize: 64 }))).keyslots[0] };
    const digest = { type: 'pbkdf2', keyslots: ['1'], segments: [], hash: 'sha256', iterations: 1000 };
    const salts = { salt: Buffer.alloc(32).toString('base64'), digest: Buffer.alloc(32).toString('base64') };
    const before = sampleImage({
      'keyslots.1': { ...slot, area: { ...slot.area, offset: '299008' } },
      'digests.1': { ...digest, ...salts },
    });
    const header = await readHeader(memoryDisk(before));
    const { stages } = await changeKeyslots(header, { remove: [1] }, inputs());
    expect(Object.keys((await plain(stages.reduce(withWrites, before))).digests)).toEqual(['0']);
    const opened = { keyslot: 1, volumeKey: seededRandom(5)(64) };
    await expect(
      changeKeyslots(header, { add: { key: key('new'), opened }, remove: [] }, inputs()),
    ).rejects.toMatchObject({
      kind: 'usage',
      message: 'keyslot 1 holds the key of no data',
    });
  });

  it('keep the priority of the one that they replace, and take their own', async () => {
    const start = await image({ ...luks2, keys: [key('one', { priority: 2 }), key('two')] });
    expect((await plain((await changed(start, rekey)).after)).keyslots[0].priority).toBe(2);
    expect((await plain((await changed(await image(luks2), rekey)).after)).keyslots[0].priority).toBeUndefined();
    const own: Wish = (opened) => ({ add: { key: key('new', { priority: 0 }), opened, replaces: 0 }, remove: [0] });
    expect((await plain((await changed(start, own)).after)).keyslots[0].priority).toBe(0);
  });

  it('raise the sequence number by one for each time the header is written', async () => {
    const { before, after } = await changed(await image(luks2), rekey);
    expect([(await current(before)).seqid, (await current(after)).seqid]).toEqual([1n, 3n]);
    expect(copiesAgree((await readHeader(memoryDisk(after))) as Luks2Header)).toBe(true);
    const { change } = await changed(await image(luks2), add);
    expect(change.stages.map((stage) => stage.map(({ at }) => at))).toEqual([[32768 + 2 * 131072], [0], [0x4000]]);
  });

  it('are refused without room, for what is no passphrase, and under a requirement that is not known', async () => {
    const small = await image({ ...luks2, headerSize: 0x8000 + 2 * 131072 });
    await expect(changed(small, add)).rejects.toMatchObject({
      kind: 'usage',
      message: 'there is no room for another keyslot',
      hint: 'remove a key that is needed no more first',
    });
    const full = await image({
      ...luks2,
      headerSize: 16 << 20,
      keys: Array.from({ length: 32 }, (_, i) => key(`${i}`)),
    });
    await expect(changed(full, add, '3')).rejects.toMatchObject({ message: 'all 32 keyslots are in use' });
    const foreign = { type: 'vendor', key_size: 1, area: { type: 'raw', offset: '786432', size: '4096' } };
    const header = await readHeader(memoryDisk(sampleImage({ 'keyslots.2': foreign })));
    await expect(changeKeyslots(header, { remove: [2] }, inputs())).rejects.toMatchObject({
      kind: 'usage',
      message: 'keyslot 2 is none that a passphrase opens',
    });
    const required = await readHeader(
      memoryDisk(sampleImage({ 'config.requirements': { mandatory: ['of\n', 'tomorrow'] } })),
    );
    await expect(changeKeyslots(required, { remove: [0] }, inputs())).rejects.toMatchObject({
      kind: 'usage',
      message: 'the header requires "of\\n", "tomorrow", which is not known here',
      hint: 'a reencryption that was interrupted is finished with cryptsetup reencrypt --resume-only',
    });
  });

  it('of data with tags hold the volume key with the key of the tags', async () => {
    const volumeKey = seededRandom(6)(96);
    const parameters = { hash: 'sha256', iterations: 1000, salt: new Uint8Array(32).fill(7) };
    const digest = await computeDigest(volumeKey, parameters, 32, 'digest', nodeLuksCrypto);
    const before = sampleImage({
      'keyslots.0.key_size': 96,
      'keyslots.0.area.size': '385024',
      'segments.0.integrity': { type: 'hmac(sha256)', journal_encryption: 'none', journal_integrity: 'none' },
      'digests.0.digest': Buffer.from(digest).toString('base64'),
    });
    const header = await readHeader(memoryDisk(before));
    const opened = { keyslot: 0, volumeKey };
    const change = await changeKeyslots(header, { add: { key: key('new'), opened }, remove: [] }, inputs());
    const after = memoryDisk(change.stages.reduce(withWrites, before));
    expect(await unlock(await readHeader(after), after, bytes('new'), nodeLuksCrypto)).toEqual({
      keyslot: 1,
      volumeKey,
    });
  });
});

describe('copies of a header', () => {
  const mend = async (image: Uint8Array) => {
    const header = (await readHeader(memoryDisk(image))) as Luks2Header;
    return repairStages(header, seededRandom(8)).reduce(withWrites, image);
  };
  it.each([
    ['the second older', { secondary: { seqid: 2n } }, 3n],
    ['the first older', { primary: { seqid: 2n } }, 3n],
    ['the second older by far', { secondary: { seqid: 0n, label: 'other' } }, 3n],
  ] as const)('%s: written anew from the other', async (_name, over, seqid) => {
    const mended = (await readHeader(memoryDisk(await mend(sampleImage({}, over))))) as Luks2Header;
    expect(copiesAgree(mended)).toBe(true);
    expect(mended.current).toMatchObject({ seqid, label: 'root' });
  });

  it.each([0, 0x4000])('the one at %i broken: written anew, and nothing else changes', async (at) => {
    const good = sampleImage();
    const broken = withWrites(good, [{ at: at + 5000, bytes: bytes('garbage') }]);
    const mended = await mend(broken);
    expect(copiesAgree((await readHeader(memoryDisk(mended))) as Luks2Header)).toBe(true);
    // Only the salt of the mended copy is new, and with it the checksum.
    const changes = [...mended.keys()].filter((i) => mended[i] !== good[i]);
    expect(changes.every((i) => i >= at + 104 && i < at + 512)).toBe(true);
  });

  it('both good: nothing to do', async () => {
    expect(repairStages((await readHeader(memoryDisk(sampleImage()))) as Luks2Header, seededRandom(1))).toEqual([]);
  });

  it('that say different things under one number are not mended', async () => {
    const image = sampleImage({}, { secondary: { label: 'evil' } });
    await expect(mend(image)).rejects.toMatchObject({
      kind: 'mismatch',
      message: 'both copies of the header look right, but say different things',
    });
  });

  it('have a state that is that of what they say', async () => {
    const state = async (image: Uint8Array) => headerState(await readHeader(memoryDisk(image)));
    const base = await state(sampleImage());
    expect(base).toMatch(/^[0-9a-f]{64}$/);
    expect(await state(sampleImage({}, { primary: { seqid: 9n, salt: new Uint8Array(64) } }))).toBe(base);
    for (const over of [{ label: 'x' }, { subsystem: 'x' }, { uuid: 'x' }]) {
      expect(await state(sampleImage({}, { primary: over }))).not.toBe(base);
    }
    expect(await state(sampleImage({ 'tokens.0': { type: 'x', keyslots: [] } }))).not.toBe(base);
  });
});

describe('keys of LUKS1', () => {
  it('go round all eight keyslots, and a ninth is refused', async () => {
    let disk: Uint8Array = await image(luks1);
    for (let id = 2; id < 8; id++) {
      const { after, change } = await changed(disk, (opened) => ({ add: { key: key(`k${id}`), opened }, remove: [] }));
      expect(change.added).toBe(id);
      disk = after;
    }
    expect(await opens(disk, 'k7')).toEqual([7]);
    await expect(changed(disk, add)).rejects.toMatchObject({ kind: 'usage', message: 'all 8 keyslots are in use' });
    const { after } = await changed(disk, () => ({ remove: [6, 0] }), 'k7');
    expect([await opens(after, 'k6'), await opens(after, 'one'), await opens(after, 'k7')]).toEqual([[], [], [7]]);
  });

  it('take only pbkdf2 and no priority', async () => {
    const start = await image(luks1);
    const wish =
      (over: Partial<NewKey>): Wish =>
      (opened) => ({ add: { key: key('new', over), opened }, remove: [] });
    await expect(
      changed(start, wish({ kdf: { type: 'argon2id', time: 4, memory: 64, cpus: 1 } })),
    ).rejects.toMatchObject({
      kind: 'usage',
      message: 'LUKS1 has only pbkdf2, not argon2id',
    });
    await expect(changed(start, wish({ priority: 1 }))).rejects.toMatchObject({ message: 'LUKS1 has no priorities' });
  });

  it('of qemu-img, with a keyslot that lies across two sectors, cut off in any way', async () => {
    const before = new Uint8Array(fixture('luks/qemu72-l1.img'));
    const disk = memoryDisk(before);
    const opened = await unlock(await readHeader(disk), disk, PASSPHRASE, nodeLuksCrypto);
    let all: Uint8Array = before;
    for (let id = 1; id < 7; id++) {
      const header = await readHeader(memoryDisk(all));
      const change = await changeKeyslots(header, { add: { key: key(`k${id}`), opened }, remove: [] }, inputs());
      if (id === 6) {
        const [area, phdr] = change.stages;
        const written = withWrites(all, area ?? []);
        for (const [from, to] of [
          [0, 512],
          [512, 592],
        ] as const) {
          const part = (phdr?.[0]?.bytes ?? before).slice(from, to);
          const torn = withWrites(written, [{ at: from, bytes: part }]);
          expect(change.states).toContain(headerState(await readHeader(memoryDisk(torn))));
          expect(await opens(torn, 'k1')).toEqual([1]);
          expect(await opens(torn, 'k6')).toEqual([]);
        }
      }
      all = change.stages.reduce(withWrites, all);
    }
    expect(await opens(all, 'k6')).toEqual([6]);
  });
});
