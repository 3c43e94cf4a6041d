import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/core/archive/entry.ts';
import { readTar } from '../../src/core/archive/read-tar.ts';
import { streamSource } from '../../src/core/archive/source.ts';
import { addEntry, emptyTree, overlay, walkTree } from '../../src/core/archive/tree.ts';
import { addLayer } from '../../src/core/archive/whiteout.ts';
import { hinted } from '../failure.ts';
import { type TestEntry, tarArchive } from '../tar-archive.ts';

async function* whole(bytes: Uint8Array) {
  yield bytes;
}

async function readAll(bytes: Uint8Array): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { entry, content } of readTar(streamSource(whole(bytes)), 'a.tar')) {
    let size = 0;
    for await (const piece of content) size += piece.length;
    if (size !== entry.size) throw new Error('another size');
    entries.push(entry);
  }
  return entries;
}

/** The tree of an archive, when it is accepted. */
async function accepted(bytes: Uint8Array, layers: boolean) {
  try {
    const entries = await readAll(bytes);
    const over = overlay(emptyTree(), 0, 'a.tar');
    if (layers) addLayer(over, entries);
    else for (const [i, entry] of entries.entries()) addEntry(over, entry, i);
    return over.tree;
  } catch (error) {
    expect(hinted(error).kind).toBe('format');
    return undefined;
  }
}

const NAME = fc.constantFrom('a', 'b', '..', '.', '', 'a\nb', '.wh.a', '.wh..wh..opq', '.wh.', '<2>', 'x'.repeat(300));
const PATH = fc.array(NAME, { maxLength: 4 }).map((names) => names.join('/'));
/** -512 in base 256. */
const BELOW = Buffer.concat([Buffer.alloc(10, 0xff), Buffer.of(0xfe, 0)]);
const ENTRY: fc.Arbitrary<TestEntry> = fc.record(
  {
    name: PATH,
    type: fc.constantFrom('0', '1', '2', '3', '5', '6', 'x', 'g', 'L', 'S', 'V'),
    data: fc.constantFrom('', 'x', '8 uid=1\n', '11 path=/a\n', '12 path=../a'),
    linkname: PATH,
    size: fc.constantFrom(0, 1, 600, 2 ** 33 - 1, BELOW),
    major: fc.constantFrom(0, 1, 0o7777777),
    pax: fc.dictionary(fc.constantFrom('path', 'size', 'mtime', 'SCHILY.xattr.user.a'), fc.string({ maxLength: 6 })),
    checksum: fc.constant(0),
  },
  { requiredKeys: ['name', 'type'], noNullPrototype: true },
);

describe('tar', () => {
  it('is read or refused, whatever the bytes', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => void (await accepted(bytes, false))),
    ));

  it('is read or refused with any bytes changed', () => {
    const bytes = tarArchive(
      { name: 'a/b', data: 'x', pax: { mtime: '1.5' } },
      { name: 'l', type: '2', linkname: 'a' },
    );
    const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 });
    return fc.assert(
      fc.asyncProperty(changes, fc.nat(bytes.length), async (changed, length) => {
        const copy = Buffer.from(bytes);
        for (const [at, byte] of changed) copy[at] = byte;
        await accepted(copy.subarray(0, length), false);
      }),
    );
  });

  it('makes only names that stay inside and that a line can hold, whatever the entries', () =>
    fc.assert(
      fc.asyncProperty(fc.array(ENTRY, { maxLength: 6 }), fc.boolean(), async (entries, layers) => {
        const tree = await accepted(tarArchive(...entries), layers);
        if (tree === undefined) return true;
        return [...walkTree(tree)].every(({ path }) =>
          path.split('/').every((name) => /^[^\n\0/]{1,255}$/.test(name) && name !== '.' && name !== '..'),
        );
      }),
      { numRuns: 500 },
    ));
});
