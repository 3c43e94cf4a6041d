import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeGpt } from '../../src/core/disk/gpt.ts';
import { readGpt } from '../../src/core/disk/read-gpt.ts';
import { fixture } from '../fixtures.ts';
import { memoryDisk, seededRandom } from '../luks-image.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);

const MIB = 1 << 20;
const BLOCK = 4096;
const ext4 = Buffer.from(fixture('ext4/blocks-4096-uninit.img'));

/** Builds an image of a raw one; the data start where its manifest says. */
async function build(
  name: string,
  raw: Uint8Array,
  ...more: readonly string[]
): Promise<{ image: Buffer; start: number }> {
  fs.writeFileSync(at('raw'), raw);
  fs.writeFileSync(at('key'), 'open sesame');
  const kdf = ['--kdf', 'pbkdf2', '--kdf-iterations', '1000'];
  const ran = await bootseal(
    ['image', 'build', '--from', 'raw', '--key-file', 'key', ...kdf, '--out', name, ...more],
    folder,
  );
  expect(ran).toMatchObject({ status: 0 });
  return {
    image: fs.readFileSync(at(name)),
    start: JSON.parse(fs.readFileSync(at(`${name}.json`), 'utf8')).data.offset,
  };
}

async function verify(name: string) {
  const args = ['image', 'verify', name, '--key-file', 'key'];
  const { status, stdout } = await bootseal([...args, '--json'], folder);
  const text = await bootseal(args, folder);
  expect(text.status).toBe(status);
  return { status, text: text.stdout, found: JSON.parse(stdout) };
}

const real = await build('real.img', ext4);
const manifest = fs.readFileSync(at('real.img.json'));

/** Verifies a changed copy of the real image, with its manifest or without. */
async function verifyChanged(change: (image: Buffer) => Buffer | undefined, withManifest: boolean) {
  const copy = Buffer.from(real.image);
  fs.writeFileSync(at('copy.img'), change(copy) ?? copy);
  fs.rmSync(at('copy.img.json'), { force: true });
  if (withManifest) fs.writeFileSync(at('copy.img.json'), manifest);
  return verify('copy.img');
}

describe('image verify: sizes', () => {
  it('accepts the image that was built, and says no more than it saw', async () => {
    expect(await verify('real.img')).toMatchObject({
      status: 0,
      text: expect.stringContaining('verdict: header and key are right, and the ext4 begins as it must\n'),
      found: { filesystem: 'ext4', filesystemChecked: true, problems: [], remarks: [] },
    });
  });

  it.each([
    ['cut short by whole sectors', -MIB],
    ['cut short in a sector', -100],
    ['longer', MIB],
  ])('finds an image that is %s', async (_, by) => {
    const size = real.image.length + by;
    const { status, found } = await verifyChanged(
      (image) => Buffer.concat([image, seededRandom(3)(MIB)]).subarray(0, size),
      true,
    );
    expect(status).toBe(1);
    expect(found.problems).toContain(
      `the size of the disk is ${size} bytes, and copy.img.json says ${real.image.length}`,
    );
    if (by % BLOCK === 0)
      expect(found.problems).toContain(
        `the size of the data is ${ext4.length + by} bytes, and copy.img.json says ${ext4.length}`,
      );
  });

  it('finds a file system that is larger than the data, without a manifest', async () => {
    const { status, found } = await verifyChanged((image) => image.subarray(0, -MIB), false);
    expect(status).toBe(1);
    expect(found.problems).toEqual([`ext4: it has ${ext4.length / BLOCK} blocks, which is more than the image holds`]);
  });

  it('finds data with tags of which the host shows only the start', async () => {
    const { image, start } = await build('tags.img', ext4, '--integrity', 'hmac');
    expect(await verify('tags.img')).toMatchObject({
      status: 0,
      text: expect.stringContaining('verdict: header, key and data are right\n'),
    });
    // provided_data_sectors of the superblock of dm-integrity.
    image.writeBigUInt64LE(8n, start + 16);
    fs.writeFileSync(at('tags.img'), image);
    const { status, found } = await verify('tags.img');
    expect(status).toBe(1);
    expect(found.problems).toContain(`the size of the data is 4096 bytes, and tags.img.json says ${ext4.length}`);
    expect(found.problems).toContain(`ext4: it has ${ext4.length / BLOCK} blocks, which is more than the image holds`);
  });

  it('refuses a manifest whose values are of another kind', async () => {
    for (const [change, place] of [
      [{ diskBytes: '1' }, 'diskBytes is no size'],
      [{ data: { bytes: -1 } }, 'data.bytes is no size'],
      [{ data: { skippedBytes: 1.5 } }, 'data.skippedBytes is no size'],
      [{ payload: { what: 1 } }, 'payload.what is no text'],
      [{ data: 1 }, 'data is no object'],
      [{ partitionTable: { guid: 1 } }, 'partitionTable is no partition table'],
    ] as const) {
      fs.writeFileSync(at('real.img.json'), JSON.stringify({ ...JSON.parse(manifest.toString()), ...change }));
      const ran = await bootseal(['image', 'verify', 'real.img', '--key-file', 'key'], folder);
      expect(ran).toMatchObject({ status: 3, stderr: expect.stringContaining(place) });
    }
    fs.writeFileSync(at('real.img.json'), manifest);
  });
});

describe('image verify: partition table', () => {
  it('finds another table than the manifest says, of an encrypted disk and of one with a hash tree', async () => {
    await build('gpt.img', ext4, '--shape', 'gpt');
    fs.writeFileSync(at('raw'), ext4);
    const built = await bootseal(
      ['image', 'build', '--from', 'raw', '--verity', '--shape', 'gpt', '--out', 'tree.img'],
      folder,
    );
    expect(built).toMatchObject({ status: 0 });
    for (const [name, key] of [
      ['gpt.img', ['--key-file', 'key']],
      ['tree.img', []],
    ] as const) {
      const args = ['image', 'verify', name, ...key];
      expect(await bootseal(args, folder)).toMatchObject({ status: 0 });
      await renameFirstPartition(at(name));
      expect(await bootseal(args, folder)).toMatchObject({
        status: 1,
        stdout: expect.stringContaining(`problem: partition 1 is not as ${name}.json says: other name\n`),
      });
    }
  });
});

/** Writes both tables again, as a host could. */
async function renameFirstPartition(file: string): Promise<void> {
  const disk = fs.readFileSync(file);
  const table = await readGpt(memoryDisk(disk));
  if (table === undefined) throw new Error('no table');
  const partitions = table.partitions.map((one) => (one.number === 1 ? { ...one, name: 'else' } : one));
  const tables = encodeGpt({ partitions, diskSize: disk.length }, table.guid);
  for (const part of tables) disk.set(part.bytes, part.at);
  fs.writeFileSync(file, disk);
}

describe('image verify: content', () => {
  const overwritten = (from: number, size: number) => (image: Buffer) => {
    image.set(seededRandom(5)(size), real.start + from);
    return image;
  };

  it.each([true, false])('finds a file system destroyed behind its superblock (manifest: %s)', async (withManifest) => {
    const { status, found } = await verifyChanged(overwritten(BLOCK, 4 * MIB), withManifest);
    expect(status).toBe(1);
    expect(found.problems).toEqual(['ext4: group 0 has tables outside of the file system']);
  });

  it('finds other data than the manifest says', async () => {
    const { status, found, text } = await verifyChanged(overwritten(0, BLOCK), true);
    expect(status).toBe(1);
    const said = 'the data are nothing that is known here, and copy.img.json says ext4 with blocks of 4096 bytes';
    expect(found.problems).toEqual([said]);
    expect(text).toContain(`problem: ${said}\n`);
    const alone = await verifyChanged(overwritten(0, BLOCK), false);
    expect(alone).toMatchObject({
      status: 0,
      text: expect.stringContaining('verdict: header and key are right; of the data nothing is known but their size\n'),
    });
  });
});

describe('image verify: data that were never encrypted', () => {
  const text = Buffer.from('plaintext in the middle of the disk. '.repeat(4 * MIB)).subarray(0, 4 * MIB);
  const first = (8 * MIB) / BLOCK;
  const place = `the first is sector ${first} (4096 bytes at ${8 * MIB} of the data)`;
  const count = (4 * MIB) / BLOCK;

  it.each([
    [
      'text',
      text,
      `${count} sectors of the encrypted data are no ciphertext: they repeat, or are text or programs; ${place}`,
      '',
    ],
    [
      'a pattern with high bytes',
      Buffer.alloc(4 * MIB, createHash('sha256').update('x').digest().subarray(0, 16)),
      `${count} sectors of the encrypted data are no ciphertext: they repeat, or are text or programs; ${place}`,
      '',
    ],
    [
      'zeros',
      Buffer.alloc(4 * MIB),
      `${count} sectors of the encrypted data are zeros; ${place}`,
      '; copy.img.json says that every sector was written',
    ],
  ])('finds %s in the middle', async (_, plain, said, claim) => {
    const change = (image: Buffer) => {
      image.set(plain, real.start + 8 * MIB);
      return image;
    };
    const pinned = await verifyChanged(change, true);
    expect(pinned).toMatchObject({ status: 1, found: { problems: [`${said}${claim}`], remarks: [] } });
    const alone = await verifyChanged(change, false);
    expect(alone).toMatchObject({ status: 0, found: { problems: [], remarks: [said] } });
    expect(alone.text).toContain(`remark: ${said}\n`);
  });

  it.each([true, false])('finds a header with nothing behind it (manifest: %s)', async (withManifest) => {
    for (const byte of [0, 0xa5]) {
      const { status, found } = await verifyChanged((image) => image.fill(byte, real.start), withManifest);
      expect(status).toBe(1);
      expect(found.problems[0]).toBe('no sector of the data is encrypted');
      expect(found.problems[1]).toContain(`${ext4.length / BLOCK} sectors of the encrypted data are`);
    }
  });

  it('lets free blocks be left out that the manifest says were', async () => {
    const { image, start } = await build('sparse.img', ext4, '--sparse');
    expect(await verify('sparse.img')).toMatchObject({ status: 0, found: { problems: [], remarks: [] } });
    const skipped = JSON.parse(fs.readFileSync(at('sparse.img.json'), 'utf8')).data.skippedBytes;
    expect(skipped).toBeGreaterThan(0);
    // A block of the file system itself; the first but the superblock and its descriptors.
    image.fill(0, start + 2 * BLOCK, start + 3 * BLOCK);
    const used = real.image.subarray(real.start + 2 * BLOCK, real.start + 3 * BLOCK);
    expect(used.some((byte) => byte !== 0)).toBe(true);
    fs.writeFileSync(at('sparse.img'), image);
    const { status, found } = await verify('sparse.img');
    expect(status).toBe(1);
    expect(found.problems[0]).toContain(
      `zeros; the first is sector 2 (4096 bytes at 8192 of the data); sparse.img.json says that ${skipped} bytes were left out`,
    );
  });
});
