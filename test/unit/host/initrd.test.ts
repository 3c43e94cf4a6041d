import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeMember, encodeTrailer, fill } from '../../../src/core/archive/cpio.ts';
import { diskSource } from '../../../src/core/archive/source.ts';
import { concat } from '../../../src/core/bytes.ts';
import { hexToBytes } from '../../../src/core/hex.ts';
import { withDisk } from '../../../src/host/disk.ts';
import { addSegment } from '../../../src/host/initrd/add-segment.ts';
import { passGzip } from '../../../src/host/initrd/pass-gzip.ts';
import { readInitrd } from '../../../src/host/initrd/read-initrd.ts';
import { scratch } from '../../cli/script.ts';
import { vectors } from '../../fixtures.ts';
import { memoryDisk } from '../../luks-image.ts';

const samples = vectors<{ cpio: string; compressed: { id: string; hex: string }[] }>('initrd-segments.json');
const cpio = hexToBytes(samples.cpio);
const gzip = hexToBytes(samples.compressed.find(({ id }) => id === 'gzip')?.hex ?? '');

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const write = (name: string, content: Uint8Array | string, mode = 0o644): string => {
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  fs.chmodSync(file, mode);
  return file;
};
const read = (name: string) => withDisk(path.join(folder, name), (disk) => readInitrd(disk));

/** Random bytes do not compress: several pieces. */
const noise = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 2654435761) >>> 13);

async function passed(bytes: Uint8Array): Promise<number> {
  const source = diskSource(memoryDisk(bytes), 0);
  await passGzip(source);
  return source.position;
}

describe('passGzip', () => {
  it.each<[string, Uint8Array]>([
    ['a sample', gzip],
    ['much data', zlib.gzipSync(noise)],
    ['no data', zlib.gzipSync(new Uint8Array(0))],
    ['data that compress well', zlib.gzipSync(new Uint8Array(1 << 22))],
    ['a length of exactly one piece', exactPiece()],
    ['all fields of the header', withHeader(gzip)],
  ])('ends behind %s', async (_, bytes) => {
    expect(await passed(bytes)).toBe(bytes.length);
    expect(await passed(concat(bytes, new Uint8Array(100_000)))).toBe(bytes.length);
    expect(await passed(concat(bytes, gzip))).toBe(bytes.length);
  });

  it('refuses what is cut off or broken', async () => {
    for (let size = 0; size < gzip.length; size++) {
      await expect(passed(gzip.subarray(0, size))).rejects.toMatchObject({ kind: 'format' });
    }
    const broken = new Uint8Array(gzip);
    broken.fill(0xff, 10, 60);
    await expect(passed(broken)).rejects.toMatchObject({ kind: 'format', message: 'gzip: the data are broken' });
    await expect(passed(Uint8Array.from(gzip, (byte, i) => (i === 2 ? 9 : byte)))).rejects.toThrow(
      'wrong magic number',
    );
  });
});

/** Stored blocks, so that the data of deflate end with a piece of 64 KiB. */
function exactPiece(): Uint8Array {
  for (let size = 65000; ; size++) {
    const bytes = zlib.gzipSync(noise.subarray(0, size), { level: 0 });
    if (bytes.length - 10 - 8 === 1 << 16) return bytes;
  }
}

function withHeader(bytes: Uint8Array): Uint8Array {
  const header = bytes.slice(0, 10);
  header[3] = 2 | 4 | 8 | 16;
  return concat(
    header,
    Uint8Array.of(3, 0, 1, 2, 3),
    Buffer.from('name\0comment\0'),
    Uint8Array.of(9, 9),
    bytes.subarray(10),
  );
}

describe('readInitrd', () => {
  it('says what is in each segment', async () => {
    const microcode = concat(
      encodeMember({ name: 'kernel/x86/microcode/AuthenticAMD.bin', mode: 0o100644, size: 4 }, 1),
      new Uint8Array(4),
      encodeTrailer(),
    );
    const main = concat(
      encodeMember({ name: 'init', mode: 0o100755, size: 0 }, 1),
      encodeMember({ name: 'usr/lib/bootseal/unlock', mode: 0o100755, size: 0 }, 2),
      encodeMember({ name: 'usr/lib/bootseal', mode: 0o40755, size: 0 }, 3),
      encodeTrailer(),
    );
    write('initrd', concat(microcode, zlib.gzipSync(main)));
    expect(await read('initrd')).toEqual([
      {
        offset: 0,
        size: microcode.length,
        compression: 'none',
        endKnown: true,
        why: undefined,
        content: { members: 1, bytes: 4, microcode: true, init: false, bootseal: [] },
      },
      {
        offset: microcode.length,
        size: expect.any(Number),
        compression: 'gzip',
        endKnown: true,
        why: undefined,
        content: { members: 3, bytes: 0, microcode: false, init: true, bootseal: ['usr/lib/bootseal/unlock'] },
      },
    ]);
  });

  it('refuses a compressed segment that is no archive, or whose data are broken', async () => {
    write('text', zlib.gzipSync('hello'));
    await expect(read('text')).rejects.toMatchObject({ kind: 'format' });
    const broken = new Uint8Array(zlib.gzipSync(cpio));
    broken[broken.length - 5] = (broken[broken.length - 5] ?? 0) ^ 1;
    write('broken', broken);
    await expect(read('broken')).rejects.toMatchObject({ kind: 'format', message: 'gzip: the data are broken' });
  });
});

describe('addSegment', () => {
  const added = (from: string, name = 'etc/bootseal/key') => [{ name, from, mode: undefined }];

  it('leaves the base as it is, and adds the same bytes every time', async () => {
    const base = write('base', gzip);
    const from = write('content', 'hello');
    const first = await addSegment(base, path.join(folder, 'one'), added(from), false);
    fs.utimesSync(from, 1, 1);
    const second = await addSegment(base, path.join(folder, 'two'), added(from), false);
    expect(second).toEqual(first);
    const bytes = fs.readFileSync(path.join(folder, 'one'));
    expect(bytes).toEqual(fs.readFileSync(path.join(folder, 'two')));
    expect(bytes.subarray(0, gzip.length)).toEqual(Buffer.from(gzip));
    expect(first).toMatchObject({ bytes: bytes.length, segment: { offset: gzip.length + fill(gzip.length) } });
    expect(first.files).toEqual([{ name: 'etc/bootseal/key', mode: '0644', bytes: 5, replaces: false }]);
    const [, segment] = await read('one');
    // The folder etc is there already.
    expect(segment?.content).toMatchObject({ members: 2, bytes: 5, bootseal: ['etc/bootseal/key'] });
    expect(segment?.offset).toBe(first.segment.offset);
    expect(fs.readdirSync(folder).sort()).toEqual(['base', 'content', 'one', 'two']);
  });

  it('can be done again and again', async () => {
    const from = write('content', 'x'.repeat(301), 0o755);
    let base = write('base', concat(cpio, Uint8Array.of(0)));
    for (const name of ['a', 'b', 'c']) {
      const out = path.join(folder, `with-${name}`);
      const { files } = await addSegment(base, out, added(from, name), false);
      expect(files[0]).toMatchObject({ mode: '0755', replaces: false });
      base = out;
    }
    expect((await read('with-c')).map(({ content }) => content?.members)).toEqual([2, 1, 1, 1]);
  });

  it('keeps links, and says what it replaces', async () => {
    const base = write(
      'base',
      concat(
        encodeMember({ name: 'usr', mode: 0o40755, size: 0 }, 1),
        encodeMember({ name: 'usr/lib', mode: 0o40755, size: 0 }, 2),
        encodeMember({ name: 'lib', mode: 0o120777, size: 7 }, 3),
        Buffer.from('usr/lib\0'),
        encodeMember({ name: 'usr/lib/old', mode: 0o100644, size: 0 }, 4),
        encodeTrailer(),
      ),
    );
    const from = write('content', 'x');
    const out = path.join(folder, 'out');
    const { files } = await addSegment(base, out, [{ name: '/lib/old', from, mode: 0o600 }], false);
    expect(files).toEqual([{ name: 'usr/lib/old', mode: '0600', bytes: 1, replaces: true }]);
    expect((await read('out'))[1]?.content?.members).toBe(1);
  });

  it('leaves nothing after a failure', async () => {
    const base = write('base', cpio);
    const from = write('content', 'x');
    const out = path.join(folder, 'out');
    const twice = [...added(from), ...added(from)];
    await expect(addSegment(base, out, twice, false)).rejects.toMatchObject({ kind: 'usage' });
    await expect(addSegment(base, out, added(`${from}-missing`), false)).rejects.toMatchObject({ kind: 'io' });
    await expect(addSegment(base, out, added(folder), false)).rejects.toMatchObject({ kind: 'io' });
    await expect(addSegment(from, out, added(from), false)).rejects.toMatchObject({ kind: 'format' });
    await expect(addSegment(base, base, added(from), false)).rejects.toMatchObject({ kind: 'io' });
    await expect(addSegment(base, out, added(from, 'etc/hostname/x'), false)).rejects.toMatchObject({ kind: 'usage' });
    expect(fs.readdirSync(folder).sort()).toEqual(['base', 'content']);
  });
});
