import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bareDisk } from '../../../src/core/disk/shape.ts';
import { imageManifest, printManifest } from '../../../src/core/luks/manifest.ts';
import { type PlanOptions, plan } from '../../../src/core/luks/plan.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { nodeLuksCrypto } from '../../../src/host/node-luks.ts';

const UUID = '01234567-89ab-4cde-8f01-23456789abcd';
const options = (over: Partial<PlanOptions> = {}): PlanOptions => ({
  version: 2,
  dataSize: 8192,
  keySize: 64,
  sectorSize: 4096,
  detached: false,
  headerSize: 1 << 20,
  keys: [{ passphrase: Uint8Array.of(1, 2, 3), kdf: { type: 'pbkdf2', iterations: 1000 } }],
  uuid: UUID,
  ...over,
});

/** Not random, and no two bytes next to each other the same, as keys of XTS need it. */
let counter = 0;
const counted = (size: number) => Uint8Array.from({ length: size }, () => counter++ * 73);

async function manifestOf(wanted: PlanOptions, header?: string) {
  counter = 0;
  const planned = await plan(wanted, counted, nodeLuksCrypto);
  const manifest = imageManifest(
    {
      plan: planned,
      disk: bareDisk(planned),
      options: wanted,
      purposes: ['launch-secret', 'recovery'],
      image: 'disk.img',
      header,
      payload: { size: 8000, what: 'ext4' },
      testOnly: false,
    },
    nodeHashes,
  );
  const region = Buffer.alloc(wanted.headerSize);
  for (const extent of planned.extents) if (extent.kind === 'bytes') region.set(extent.bytes, extent.at);
  return { manifest, sha256: createHash('sha256').update(region).digest('hex') };
}

describe('imageManifest', () => {
  it.each([
    ['hmac', 'aes-xts-plain64', 768, 'hmac(sha256)'],
    ['gcm', 'aes-gcm-random', 256, 'aead'],
  ] as const)('says which tags the sectors have: %s', async (integrity, cipher, keyBits, type) => {
    const { manifest, sha256 } = await manifestOf(options({ integrity, dataSize: 8192 }));
    expect(manifest.data).toMatchObject({ bytes: 8192, cipher, keyBits, integrity: type });
    // The superblock of the tags, which the guest's kernel changes, does not belong to the header.
    expect(manifest.header).toEqual({ file: null, bytes: 1 << 20, sha256 });
    expect(manifest.imageBytes).toBeGreaterThan((1 << 20) + 8192);
  });

  it('says all that the guest and the owner need', async () => {
    const { manifest, sha256 } = await manifestOf(options({ label: 'root' }));
    expect(manifest).toEqual({
      format: 'bootseal-image-1',
      testOnly: false,
      image: 'disk.img',
      imageBytes: (1 << 20) + 8192,
      imageFormat: 'raw',
      diskBytes: (1 << 20) + 8192,
      partitionTable: null,
      luks: { version: 2, uuid: UUID, label: 'root' },
      header: { file: null, bytes: 1 << 20, sha256 },
      data: {
        offset: 1 << 20,
        bytes: 8192,
        cipher: 'aes-xts-plain64',
        keyBits: 512,
        sectorSize: 4096,
        integrity: null,
        everySector: true,
        skippedBytes: 0,
      },
      payload: { bytes: 8000, what: 'ext4' },
      keyslots: [{ keyslot: 0, kdf: 'pbkdf2', purpose: 'launch-secret' }],
      key: { name: 'disk-passphrase', guid: '736869e5-84f0-4973-92ec-06879ce3da0b' },
    });
  });

  it('says where a detached header is', async () => {
    const { manifest, sha256 } = await manifestOf(options({ detached: true }), 'disk.hdr');
    expect(manifest).toMatchObject({
      imageBytes: 8192,
      luks: { label: null },
      header: { file: 'disk.hdr', bytes: 1 << 20, sha256 },
      data: { offset: 0 },
    });
  });

  it('prints as JSON that ends in a line break', async () => {
    const { manifest } = await manifestOf(options());
    expect(JSON.parse(printManifest(manifest))).toEqual(manifest);
    expect(printManifest(manifest).endsWith('}\n')).toBe(true);
  });
});
