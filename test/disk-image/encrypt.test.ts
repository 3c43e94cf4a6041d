import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dataPlace, newIntegrityLayout, tagPlace } from '../../src/core/luks/integrity/layout.ts';
import { findTagScheme } from '../../src/core/luks/integrity/schemes.ts';
import { openSector } from '../../src/core/luks/integrity/tags.ts';
import { encrypt } from '../../src/host/image/encrypt.ts';
import { nodeSectorCrypto } from '../../src/host/node-luks.ts';
import { opensslSectors } from '../../src/host/xts/check.ts';
import { BLOCK_SIZE } from '../../src/host/xts/xts.ts';
import { scratch } from '../cli/script.ts';

let folder: string;
let remove: () => void;
const opened: number[] = [];
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => {
  for (const fd of opened.splice(0)) fs.closeSync(fd);
  remove();
});

const KEY = randomBytes(64);

/** A source with these bytes and a target, open for one encryption. */
function files(plain: Uint8Array, direct: boolean) {
  const [source, target] = [path.join(folder, 'plain'), path.join(folder, 'encrypted')];
  fs.writeFileSync(source, plain);
  fs.writeFileSync(target, '');
  const open = (file: string, flags: number) => {
    const fd = fs.openSync(file, flags);
    opened.push(fd);
    return fd;
  };
  return {
    source: { file: source, fd: open(source, fs.constants.O_RDONLY), size: plain.length },
    target: {
      file: target,
      fd: open(target, fs.constants.O_RDWR),
      directFd: direct ? open(target, fs.constants.O_WRONLY | fs.constants.O_DIRECT) : undefined,
    },
  };
}

const round = (size: number, to: number): number => Math.ceil(size / to) * to;

describe('encrypt', () => {
  it.each([
    [1, 512, false],
    [512, 512, true],
    [BLOCK_SIZE, 512, true],
    [BLOCK_SIZE + 1, 4096, true],
    [3 * BLOCK_SIZE - 512, 512, true],
    [5 * BLOCK_SIZE + 513, 512, false],
    [5 * BLOCK_SIZE + 4096, 4096, true],
  ] as const)('encrypts %i bytes in sectors of %i, O_DIRECT %s', async (length, sectorSize, direct) => {
    const plain = randomBytes(length);
    const { source, target } = files(plain, direct);
    const size = round(length, sectorSize);
    const told: number[] = [];
    const onProgress = (done: number) => void told.push(done);
    await encrypt({ key: KEY, sectorSize, source, target: { ...target, at: 8192, size }, onProgress });
    const padded = Buffer.concat([plain, Buffer.alloc(size - length)]);
    const written = fs.readFileSync(target.file);
    expect(written).toHaveLength(8192 + size);
    expect(Buffer.compare(written.subarray(8192), opensslSectors(KEY, padded, 0n, sectorSize))).toBe(0);
    expect(told.at(-1)).toBe(size);
  });

  it.each([
    ['aes-xts-plain64', 'hmac(sha256)', 96, 4096, 17 * BLOCK_SIZE + 4096],
    ['aes-gcm-random', 'aead', 32, 512, 2 * BLOCK_SIZE + 8192],
  ] as const)(
    'gives every sector a tag where they belong: %s',
    async (encryption, integrity, keySize, sectorSize, size) => {
      const tags = findTagScheme(encryption, integrity, keySize, 'test');
      const layout = newIntegrityLayout(size, sectorSize, tags.tagSize);
      const key = randomBytes(keySize);
      const plain = randomBytes(size - 100);
      const { source, target } = files(plain, true);
      const tagging = { tags, layout, ivKey: randomBytes(32) };
      await encrypt({ key, sectorSize, tagging, source, target: { ...target, at: 8192, size } });
      const written = fs.readFileSync(target.file);
      expect(written).toHaveLength(8192 + layout.size);
      const padded = Buffer.concat([plain, Buffer.alloc(100)]);
      for (let at = 0; at < size; at += sectorSize) {
        const [data, tag] = [8192 + dataPlace(layout, at), 8192 + tagPlace(layout, at)];
        const sealed = {
          cipher: written.subarray(data, data + sectorSize),
          tag: written.subarray(tag, tag + tags.tagSize),
        };
        const opened = openSector({ tags, key, ivTweak: 0n }, BigInt(at / 512), sealed, nodeSectorCrypto);
        if (opened === undefined || Buffer.compare(opened, padded.subarray(at, at + sectorSize)) !== 0) {
          throw new Error(`the sector at ${at} is not what it should be`);
        }
      }
    },
  );

  it('leaves no sector out, also when everything is zero', async () => {
    const { source, target } = files(new Uint8Array(2 * BLOCK_SIZE), true);
    await encrypt({ key: KEY, sectorSize: 512, source, target: { ...target, at: 0, size: source.size } });
    const written = fs.readFileSync(target.file);
    for (let at = 0; at < written.length; at += 512) {
      expect(written.subarray(at, at + 512).some((byte) => byte !== 0)).toBe(true);
    }
  });

  it('leaves the key as it was for the caller to wipe', async () => {
    const key = Buffer.from(KEY);
    const { source, target } = files(randomBytes(512), false);
    await encrypt({ key, sectorSize: 512, source, target: { ...target, at: 0, size: 512 } });
    expect(key.equals(KEY)).toBe(true);
  });

  it('says so when the source becomes shorter', async () => {
    const { source, target } = files(randomBytes(2 * BLOCK_SIZE), true);
    const longer = { ...source, size: 3 * BLOCK_SIZE };
    const job = { key: KEY, sectorSize: 512, source: longer, target: { ...target, at: 0, size: longer.size } } as const;
    await expect(encrypt(job)).rejects.toMatchObject({
      kind: 'io',
      message: expect.stringMatching(/plain: it became shorter while it was read$/),
    });
  });

  it('says which file cannot be written', async () => {
    const { source, target } = files(randomBytes(BLOCK_SIZE), false);
    const full = { ...target, file: '/dev/full', fd: fs.openSync('/dev/full', 'w'), at: 0, size: BLOCK_SIZE };
    opened.push(full.fd);
    await expect(encrypt({ key: KEY, sectorSize: 4096, source, target: full })).rejects.toMatchObject({
      kind: 'io',
      message: 'cannot write /dev/full: no space left on the device',
    });
  });

  it('stops when it is told to', async () => {
    const { source, target } = files(randomBytes(BLOCK_SIZE), false);
    const job = { key: KEY, sectorSize: 512, source, target: { ...target, at: 0, size: BLOCK_SIZE } } as const;
    await expect(encrypt({ ...job, stop: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    expect(fs.statSync(target.file).size).toBe(0);
  });

  it('ends, also in the middle of a stream, when no thread can be started', async () => {
    const { source, target } = files(new Uint8Array(0), false);
    const size = 16 * BLOCK_SIZE;
    async function* stream() {
      for (let block = 0; block < 16; block++) yield new Uint8Array(BLOCK_SIZE);
    }
    const missing = vi.spyOn(process.getBuiltinModule('node:fs'), 'existsSync').mockReturnValue(false);
    syncBuiltinESMExports();
    try {
      const job = {
        key: KEY,
        sectorSize: 512,
        source: { ...source, size },
        target: { ...target, at: 0, size },
      } as const;
      await expect(encrypt({ ...job, stream: stream() })).rejects.toMatchObject({ kind: 'tool' });
    } finally {
      missing.mockRestore();
      syncBuiltinESMExports();
    }
  });

  it('refuses a bad key in the worker as it does here', async () => {
    const { source, target } = files(randomBytes(512), false);
    const job = { key: new Uint8Array(64), sectorSize: 512, source, target: { ...target, at: 0, size: 512 } } as const;
    await expect(encrypt(job)).rejects.toMatchObject({ kind: 'usage', hint: 'take a key from a random generator' });
  });
});
