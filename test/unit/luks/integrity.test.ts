import { describe, expect, it } from 'vitest';
import { openData, plainDisk, readPieces, readPlaintext } from '../../../src/core/luks/data.ts';
import { readHeader, unlock } from '../../../src/core/luks/image.ts';
import { freshJournal, readJournal } from '../../../src/core/luks/integrity/journal.ts';
import {
  dataPlace,
  type IntegrityLayout,
  integrityLayout,
  newIntegrityLayout,
  tagPlace,
} from '../../../src/core/luks/integrity/layout.ts';
import { findTagScheme } from '../../../src/core/luks/integrity/schemes.ts';
import { encodeSuperblock, readSuperblock } from '../../../src/core/luks/integrity/superblock.ts';
import { nobleSectorCrypto, openSector, type SectorCrypto, sealSector } from '../../../src/core/luks/integrity/tags.ts';
import { dataSegment } from '../../../src/core/luks/segment.ts';
import { nodeSectorCrypto } from '../../../src/host/node-luks.ts';
import { fixture } from '../../fixtures.ts';
import { journalSection, KERNEL_DATA, type KernelData, type SampleEntry } from '../../integrity-image.ts';
import { blocks, memoryDisk, nodeLuksCrypto, PASSPHRASE, sampleImage } from '../../luks-image.ts';

const PLAIN = blocks(0, 4096);

/** Returns all plaintext, or throws what reading throws. */
async function plaintext({ image, segment, key }: KernelData, crypto: SectorCrypto = nodeSectorCrypto) {
  const disk = memoryDisk(image);
  const pieces: Uint8Array[] = [];
  for await (const piece of readPlaintext(disk, await openData(disk, segment), key, crypto)) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

/** Returns a copy with the bits of one byte turned. */
function flipped({ image, ...rest }: KernelData, at: number): KernelData {
  const copy = image.slice();
  copy[at] = (copy[at] ?? 0) ^ 0x80;
  return { ...rest, image: copy };
}

const layoutOf = ({ image, segment }: KernelData): IntegrityLayout =>
  readSuperblock(
    image.subarray(0, 4096),
    { sectorSize: segment.sectorSize, tagSize: segment.tags.tagSize },
    image.length,
  );

describe.each(KERNEL_DATA)('data of a kernel, $name', (data) => {
  const { image, segment, key } = data;
  const layout = layoutOf(data);

  it('are read exactly, with and without node', async () => {
    expect(await plaintext(data)).toEqual(PLAIN);
    const first = { ...data, image: image.slice() };
    new DataView(first.image.buffer).setUint32(16, 8, true);
    expect(await plaintext(first, nobleSectorCrypto)).toEqual(PLAIN.subarray(0, 4096));
  });

  it('lie where a new layout puts them', () => {
    const made = newIntegrityLayout(65536, segment.sectorSize, segment.tags.tagSize);
    expect(made).toEqual(layout);
    expect(made.size).toBe(image.length);
    expect(encodeSuperblock(made)).toEqual(image.subarray(0, 4096));
  });

  it('are sealed to the same bytes again', () => {
    const { sectorSize, tagSize } = layout;
    for (let at = 0; at < PLAIN.length; at += sectorSize) {
      const cipher = image.subarray(dataPlace(layout, at), dataPlace(layout, at) + sectorSize);
      const tag = image.subarray(tagPlace(layout, at), tagPlace(layout, at) + tagSize);
      const random = tag.subarray(segment.tags.macSize);
      const format = { tags: segment.tags, key, ivTweak: 0n };
      for (const crypto of at < 8192 ? [nodeSectorCrypto, nobleSectorCrypto] : [nodeSectorCrypto]) {
        const sealed = sealSector(format, BigInt(at / 512), PLAIN.subarray(at, at + sectorSize), random, crypto);
        expect(Buffer.compare(sealed.cipher, cipher)).toBe(0);
        expect(Buffer.compare(sealed.tag, tag)).toBe(0);
      }
    }
  });

  it('have the journal that a fresh one becomes', () => {
    const journal = image.slice(4096, layout.startSize);
    const fresh = Buffer.concat([...freshJournal(layout)]);
    expect(fresh).toHaveLength(journal.length);
    for (let at = 504; at < journal.length; at += 512) {
      const [found, made] = [journal.subarray(at, at + 8), fresh.subarray(at, at + 8)];
      const difference = found.map((byte, i) => byte ^ (made[i] ?? 0));
      // One of the four ids instead of the first: the same byte eight times.
      expect(new Set(difference).size).toBe(1);
      journal.fill(0, at, at + 8);
      fresh.fill(0, at, at + 8);
    }
    expect(Buffer.compare(fresh, journal)).toBe(0);
  });

  it.each(['data', 'tags'])('of which one bit of the %s was changed do not come out', async (what) => {
    const sectors = PLAIN.length / layout.sectorSize;
    for (const sector of [0, 3, sectors - 1]) {
      const at = sector * layout.sectorSize;
      const size = what === 'data' ? layout.sectorSize : layout.tagSize;
      const place = (what === 'data' ? dataPlace(layout, at) : tagPlace(layout, at)) + (sector % size);
      const changed = flipped(data, place);
      await expect(plaintext(changed)).rejects.toMatchObject({
        kind: 'mismatch',
        message: `sector ${sector} (${layout.sectorSize} bytes at ${at} of the data) does not match its tag`,
        hint: expect.stringContaining('image verify names all'),
      });
      const disk = memoryDisk(changed.image);
      for await (const { plain, wrong } of readPieces(disk, await openData(disk, segment), key, nodeSectorCrypto)) {
        expect(wrong).toEqual([at]);
        const wanted = PLAIN.slice();
        wanted.fill(0, at, at + layout.sectorSize);
        expect(Buffer.compare(plain, wanted)).toBe(0);
      }
    }
  });

  it('are read at any place, and not beyond their end', async () => {
    const disk = memoryDisk(image);
    const plain = plainDisk(disk, await openData(disk, segment), key, nodeSectorCrypto);
    expect(plain.size).toBe(PLAIN.length);
    const sector = layout.sectorSize;
    for (const [at, size] of [
      [0, PLAIN.length],
      [1, 1],
      [sector - 1, 2],
      [sector, sector],
      [3 * sector + 5, 2 * sector],
      [PLAIN.length - 3, 10],
      [PLAIN.length, 1],
      [PLAIN.length + sector + 1, 1],
    ] as const)
      expect(Buffer.compare(await plain.read(at, size), PLAIN.subarray(at, at + size))).toBe(0);
  });

  it('do not come out of another place, or under another key', async () => {
    const moved = { ...data, image: image.slice() };
    const place = (from: 'data' | 'tags', sector: number): [number, number] => {
      const at = sector * layout.sectorSize;
      return from === 'data'
        ? [dataPlace(layout, at), dataPlace(layout, at) + layout.sectorSize]
        : [tagPlace(layout, at), tagPlace(layout, at) + layout.tagSize];
    };
    for (const what of ['data', 'tags'] as const) moved.image.set(image.subarray(...place(what, 5)), place(what, 2)[0]);
    await expect(plaintext(moved)).rejects.toMatchObject({ message: expect.stringMatching(/^sector 2 /) });
    for (const at of [0, key.length - 1]) {
      const other = key.map((byte, i) => (i === at ? byte + 1 : byte));
      const opened = openSector(
        { tags: segment.tags, key: other, ivTweak: 0n },
        0n,
        { cipher: image.subarray(...place('data', 0)), tag: image.subarray(...place('tags', 0)) },
        nodeSectorCrypto,
      );
      // Only the key of the HMAC, at its end, is what the tag is made with.
      if (at > 0 || segment.tags.mode === 'gcm') expect(opened).toBeUndefined();
      else expect(opened).not.toEqual(PLAIN.subarray(0, layout.sectorSize));
    }
  });

  it('that end too early are refused', async () => {
    const cut = { ...data, image: image.slice(0, -512), segment: { ...segment, size: image.length - 512 } };
    await expect(plaintext(cut)).rejects.toMatchObject({
      kind: 'format',
      message: `integrity superblock: journal, tags and data do not fit into the ${image.length - 512} bytes of the segment`,
    });
    const shorter = { ...data, image: image.slice(0, 4000) };
    await expect(plaintext(shorter)).rejects.toMatchObject({ kind: 'format' });
  });
});

describe('sectors with an offset of their IVs', () => {
  it('count it for the IV and not for the tag', () => {
    const [{ segment, key } = KERNEL_DATA[0] as KernelData] = KERNEL_DATA;
    const format = { tags: segment.tags, key, ivTweak: 5n };
    const seal = (ivTweak: bigint, number: bigint) =>
      sealSector({ ...format, ivTweak }, number, PLAIN.subarray(0, 4096), new Uint8Array(0), nodeSectorCrypto);
    expect(seal(5n, 3n).cipher).toEqual(seal(0n, 8n).cipher);
    expect(seal(5n, 3n).tag).not.toEqual(seal(0n, 8n).tag);
    const opened = openSector(format, 3n, seal(5n, 3n), nodeSectorCrypto);
    expect(Buffer.compare(opened ?? PLAIN, PLAIN.subarray(0, 4096))).toBe(0);
    // The numbers wrap at 64 bits.
    expect(seal(5n, (1n << 64n) - 5n).cipher).toEqual(seal(0n, 0n).cipher);
  });
});

describe('an image that was powered off while its journal was in use', () => {
  it('is read as the kernel would after it has replayed the journal', async () => {
    const disk = memoryDisk(fixture('luks/kern61-l2-hmac-journal.img'));
    const header = await readHeader(disk);
    const { volumeKey } = await unlock(header, disk, PASSPHRASE, nodeLuksCrypto);
    const data = await openData(disk, dataSegment(header, disk.size, false));
    expect('journal' in data && [...data.journal.newer.keys()]).toEqual([3, 7, 8, 15].map((sector) => sector * 4096));
    const wanted = blocks(0, 4096);
    for (const sector of [3, 7, 8, 15]) wanted.set(blocks(9_000_000 + sector * 256, 256), sector * 4096);
    for await (const { plain, wrong } of readPieces(disk, data, volumeKey, nodeSectorCrypto)) {
      expect(wrong).toEqual([]);
      expect(Buffer.compare(plain, wanted)).toBe(0);
    }
  });
});

describe('a journal', () => {
  const layout = integrityLayout({
    ...{ sectorSize: 512, tagSize: 32, journalSections: 3 },
    ...{ interleave: 4096, padding: 4096, dataSize: 65536 },
  });
  const entry = (number: number, at: number): SampleEntry => ({
    ...{ entry: number, at },
    cipher: new Uint8Array(512).fill(1),
    tag: new Uint8Array(32),
  });
  /** Reads sections that were written with these sequence numbers; returns places and entries. */
  const read = async (sections: readonly Uint8Array[]) => {
    const disk = memoryDisk(new Uint8Array(Buffer.concat([new Uint8Array(4096), ...sections])));
    return [...(await readJournal(disk, 0, layout)).newer];
  };
  const E = layout.journal.entries;
  const section = (number: number, sequence: number, ...entries: SampleEntry[]) =>
    journalSection(layout, number, sequence, entries);

  it('is empty when it is fresh, whichever its sequence number', async () => {
    expect(await read([...freshJournal(layout)])).toEqual([]);
    for (const sequence of [0, 1, 2, 3]) expect(await read([0, 1, 2].map((i) => section(i, sequence)))).toEqual([]);
  });

  it('gives what was written since the section that was written last, from the oldest', async () => {
    const one = [section(0, 1, entry(0, 0), entry(9, 512)), section(1, 0), section(2, 0, entry(1, 1024))];
    // Sequence 1 was written last, up to section 0: sections 1 and 2 of sequence 0 come first.
    expect(await read(one)).toEqual([
      [1024, 2 * E + 1],
      [0, 0],
      [512, 9],
    ]);
    const twice = [section(0, 3, entry(0, 512)), section(1, 2, entry(4, 512)), section(2, 2, entry(5, 1024))];
    expect(await read(twice)).toEqual([
      [512, 0],
      [1024, 2 * E + 5],
    ]);
    const all = [section(0, 1, entry(0, 512)), section(1, 1, entry(0, 512)), section(2, 1, entry(0, 512))];
    expect(await read(all)).toEqual([[512, 2 * E]]);
    const round = [section(0, 0, entry(0, 512)), section(1, 3, entry(0, 512)), section(2, 3)];
    expect(await read(round)).toEqual([[512, 0]]);
  });

  it('gives nothing from a section that was not written to its end, nor from those behind it', async () => {
    const torn = section(2, 0, entry(0, 0));
    torn.set(section(2, 1).subarray(512, 1024), 512);
    // 1 is the newest and reaches section 2, so that section 0 of sequence 1 is the oldest.
    expect(await read([section(0, 1, entry(0, 512)), section(1, 1, entry(0, 1024)), torn])).toEqual([
      [512, 0],
      [1024, E],
    ]);
    const early = section(1, 0, entry(0, 0));
    early.set(section(1, 3).subarray(512, 1024), 512);
    expect(await read([section(0, 1, entry(0, 512)), early, section(2, 0, entry(0, 1024))])).toEqual([]);
  });

  it('gives nothing where the sequence before the newest is missing, but an older one is there', async () => {
    expect(await read([section(0, 2, entry(0, 512)), section(1, 0, entry(0, 512)), section(2, 0)])).toEqual([]);
  });

  it('passes by entries beyond the end of the data', async () => {
    const far = section(0, 1, entry(0, 65536), entry(1, 2 ** 50), entry(2, 65536 - 512));
    expect(await read([far, section(1, 1), section(2, 1)])).toEqual([[65024, 2]]);
  });

  it('that the kernel could not have written is refused', async () => {
    const bad = section(1, 0);
    bad[5 * 512 + 511] = 0x15;
    await expect(read([section(0, 0), bad, section(2, 0)])).rejects.toMatchObject({
      kind: 'format',
      message: 'integrity journal: sector 5 of section 1 has no commit id',
      hint: expect.stringContaining('the kernel refuses'),
    });
    await expect(read([section(0, 0), section(1, 0), section(1, 0)])).rejects.toThrow('of section 2 has no commit id');
    const four = section(2, 2);
    four.set(section(2, 3).subarray(0, 512), 0);
    await expect(read([section(0, 0), section(1, 1), four])).rejects.toThrow('all four commit ids are in use');
    await expect(read([new Uint8Array(3 * layout.journal.sectionSize)])).rejects.toThrow(
      'integrity journal: sector 0 of section 0 has no commit id',
    );
    await expect(read([section(0, 0), section(1, 0)])).rejects.toMatchObject({ kind: 'format' });
  });

  it('has no entries in the middle of a sector', async () => {
    const wide = integrityLayout({ ...layout, sectorSize: 4096 });
    const odd: SampleEntry = { entry: 0, at: 512, cipher: new Uint8Array(4096), tag: new Uint8Array(32) };
    const sections = [0, 1, 2].map((i) => journalSection(wide, i, 1, i === 1 ? [odd] : []));
    const disk = memoryDisk(new Uint8Array(Buffer.concat([new Uint8Array(4096), ...sections])));
    await expect(readJournal(disk, 0, wide)).rejects.toThrow(
      'integrity journal: an entry is for 1, in the middle of a sector',
    );
  });
});

describe('the layout', () => {
  it('of the kernel is reproduced', () => {
    // What Linux 6.1 made of 4 MiB with a header of 1 MiB, and of its own defaults for 16 GiB.
    expect(newIntegrityLayout(2_875_392, 4096, 32)).toMatchObject({ size: 3_145_728, tagsRun: 131_072 });
    const large = newIntegrityLayout(2 ** 34, 4096, 32);
    expect(large.journal).toEqual({
      ...{ sections: 496, sectionSize: 264 * 512, entrySize: 104, entriesPerSector: 4, entries: 32 },
    });
    expect(newIntegrityLayout(2 ** 34, 512, 32).journal).toMatchObject({
      entrySize: 48,
      entries: 80,
      sectionSize: 45_056,
    });
    expect(newIntegrityLayout(2 ** 34, 4096, 28)).toMatchObject({ tagsRun: 114_688 });
    expect(newIntegrityLayout(4096, 512, 28)).toMatchObject({ tagsRun: 917_504, journal: { sections: 1 } });
    expect(newIntegrityLayout(2 ** 25, 512, 32).journal.sections).toBe(5);
  });

  it('puts tags before the run of data that they are for', () => {
    const layout = newIntegrityLayout(2 ** 26, 4096, 32);
    const run = 2 ** 24;
    expect(tagPlace(layout, 0)).toBe(layout.startSize);
    expect(tagPlace(layout, 8192)).toBe(layout.startSize + 64);
    expect(dataPlace(layout, 0)).toBe(layout.startSize + layout.tagsRun);
    expect(dataPlace(layout, run - 4096)).toBe(layout.startSize + layout.tagsRun + run - 4096);
    expect(tagPlace(layout, run)).toBe(layout.startSize + layout.tagsRun + run);
    expect(dataPlace(layout, 3 * run)).toBe(layout.startSize + 4 * layout.tagsRun + 3 * run);
    expect(layout.size).toBe(dataPlace(layout, 2 ** 26 - 4096) + 4096);
    expect(newIntegrityLayout(run, 4096, 32).size).toBe(
      dataPlace(newIntegrityLayout(run, 4096, 32), run - 4096) + 4096,
    );
    expect(newIntegrityLayout(run + 4096, 4096, 32).tagsRun).toBe(131_072);
  });

  it('ends where the kernel would end it', () => {
    expect(() => newIntegrityLayout(4096 + 512, 512, 32)).toThrow('are not a multiple of 4096 bytes');
  });
});

describe('the superblock', () => {
  const layout = newIntegrityLayout(65536, 4096, 32);
  const wanted = { sectorSize: 4096, tagSize: 32 };
  const read = (change: (view: DataView) => void, size = layout.size) => {
    const bytes = encodeSuperblock(layout);
    change(new DataView(bytes.buffer));
    return readSuperblock(bytes, wanted, size);
  };

  it.each<[string, (view: DataView) => void]>([
    ['integrity superblock.magic: wrong magic number', (view) => view.setUint8(0, 0)],
    ['integrity superblock: version 0 is not known', (view) => view.setUint8(8, 0)],
    ['integrity superblock: version 6 is not known', (view) => view.setUint8(8, 6)],
    ['integrity superblock: the flags 0x1 are not known', (view) => view.setUint32(24, 9, true)],
    ['integrity superblock: the flags 0x80000026 are not known', (view) => view.setUint32(24, 0x8000002e, true)],
    ['integrity superblock: runs of 2^2 sectors do not exist', (view) => view.setUint8(9, 2)],
    ['integrity superblock: runs of 2^32 sectors do not exist', (view) => view.setUint8(9, 32)],
    [
      'integrity superblock: tags of 33 bytes, while the cipher of the header makes 32',
      (view) => view.setUint16(10, 33, true),
    ],
    ['integrity superblock: sectors of 2^0 units, while the header says 4096 bytes', (view) => view.setUint8(28, 0)],
    ['integrity superblock: there is no journal', (view) => view.setUint32(12, 0, true)],
    [
      'integrity superblock: the journal of 1986 sections is longer than 268435456 bytes',
      (view) => view.setUint32(12, 1986, true),
    ],
    [
      'integrity superblock: journal, tags and data do not fit into the 335872 bytes of the segment',
      (view) => view.setUint32(16, 136, true),
    ],
    [
      'integrity superblock: journal, tags and data do not fit into the 335872 bytes of the segment',
      (view) => view.setUint32(20, 0xffffffff, true),
    ],
    [
      'integrity superblock: data of 0 bytes are not a whole number of sectors of 4096',
      (view) => view.setUint32(16, 0, true),
    ],
    [
      'integrity superblock: data of 61952 bytes are not a whole number of sectors of 4096',
      (view) => view.setUint32(16, 121, true),
    ],
  ])('refuses: %s', (message, change) => {
    expect(() => read(change)).toThrow(expect.objectContaining({ kind: 'format', message }));
  });

  it('takes what harms nothing', () => {
    expect(read(() => {})).toEqual(layout);
    expect(read((view) => view.setUint8(8, 1))).toEqual(layout);
    expect(read((view) => view.setUint8(8, 5))).toEqual(layout);
    expect(read((view) => view.setUint32(24, 0x18, true))).toEqual(layout);
    expect(read((view) => view.setUint8(9, 3), 2 ** 30)).toMatchObject({ interleave: 4096, tagsRun: 4096 });
    expect(read((view) => view.setUint8(9, 31), 2 ** 40)).toMatchObject({ interleave: 2 ** 40, tagsRun: 2 ** 33 });
    expect(read((view) => view.setUint32(12, 1985, true), 2 ** 30).journal.sections).toBe(1985);
    // Rounded up to 128 KiB before Linux 5.5.
    expect(read((view) => view.setUint32(24, 0, true))).toEqual({ ...layout, padding: 131_072 });
    expect(read((view) => view.setUint8(9, 3) ?? view.setUint32(24, 0, true), 2 ** 30).tagsRun).toBe(131_072);
  });
});

describe('findTagScheme', () => {
  it('knows three ways', () => {
    expect(findTagScheme('aes-xts-plain64', 'hmac(sha256)', 96, 'x')).toMatchObject({ mode: 'xts-hmac', tagSize: 32 });
    expect(findTagScheme('aes-xts-random', 'hmac(sha256)', 64, 'x')).toMatchObject({ iv: 'random', tagSize: 48 });
    expect(findTagScheme('aes-gcm-random', 'aead', 16, 'x')).toMatchObject({ mode: 'gcm', tagSize: 28, macSize: 16 });
    expect(findTagScheme('aes-gcm-random', 'aead', 32, 'x')).not.toHaveProperty('keySizes');
  });

  it.each([
    [
      'aes-xts-plain64',
      'hmac(sha512)',
      96,
      'x: the cipher "aes-xts-plain64" with the integrity "hmac(sha512)" is not known',
    ],
    [
      'cipher_null-ecb',
      'hmac(sha256)',
      32,
      'x: the cipher "cipher_null-ecb" with the integrity "hmac(sha256)" is not known',
    ],
    ['aes-gcm-plain64', 'aead', 32, 'x: the cipher "aes-gcm-plain64" with the integrity "aead" is not known'],
    ['aes-xts-plain64', 'hmac(sha256)', 80, 'x: aes-xts-plain64 with hmac(sha256) takes no key of 80 bytes'],
    ['aes-gcm-random', 'aead', 24, 'x: aes-gcm-random with aead takes no key of 24 bytes'],
  ])('refuses %s with %s and %i bytes', (encryption, integrity, keySize, message) => {
    expect(() => findTagScheme(encryption, integrity, keySize, 'x')).toThrow(
      expect.objectContaining({ kind: 'format', message }),
    );
  });
});

describe('dataSegment with tags', () => {
  const integrity = { type: 'hmac(sha256)', journal_encryption: 'none', journal_integrity: 'none' };
  const keyed = { 'keyslots.0.key_size': 96, 'keyslots.0.area.size': '385024', 'segments.0.integrity': integrity };
  const segment = async (changes: Parameters<typeof sampleImage>[0], size = 0x200000 + 512) => {
    const header = await readHeader(memoryDisk(sampleImage({ ...keyed, ...changes })));
    return dataSegment(header, size, false);
  };

  it('says how they are made, and leaves the size of the data to their superblock', async () => {
    expect(await segment({ 'segments.0.sector_size': 4096 })).toEqual({
      ...{ offset: 0x100000, size: 0x100200, keySize: 96, sectorSize: 4096, ivTweak: 0n },
      tags: findTagScheme('aes-xts-plain64', 'hmac(sha256)', 96, 'x'),
    });
  });

  it.each([
    ['journal_encryption', 'ctr(aes)'],
    ['journal_integrity', 'hmac(sha256)'],
  ])('refuses %s', async (name, value) => {
    const changes = { 'segments.0.integrity': { ...integrity, [name]: value } };
    await expect(segment(changes)).rejects.toThrow(`segments.0: a journal with "${value}" is not known here`);
  });
});
