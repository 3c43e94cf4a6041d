import { describe, expect, it } from 'vitest';
import { openData, readPlaintext } from '../../../src/core/luks/data.ts';
import { readHeader, unlock } from '../../../src/core/luks/image.ts';
import { dataPlace, tagPlace } from '../../../src/core/luks/integrity/layout.ts';
import { integrityStart } from '../../../src/core/luks/integrity/start.ts';
import { sealSector } from '../../../src/core/luks/integrity/tags.ts';
import { type Plan, type PlanOptions, plan } from '../../../src/core/luks/plan.ts';
import { checkHeaderPolicy } from '../../../src/core/luks/policy.ts';
import { dataSegment } from '../../../src/core/luks/segment.ts';
import { nodeSectorCrypto } from '../../../src/host/node-luks.ts';
import { memoryDisk, nodeLuksCrypto, seededRandom } from '../../luks-image.ts';

const PASSPHRASE = new Uint8Array(Buffer.from('one'));
const OPTIONS: PlanOptions = {
  version: 2,
  dataSize: 40_960,
  keySize: 64,
  integrity: 'hmac',
  sectorSize: 4096,
  detached: false,
  headerSize: 0x100000,
  keys: [{ passphrase: PASSPHRASE, kdf: { type: 'pbkdf2', iterations: 1000 } }],
};

const make = (over: Partial<PlanOptions> = {}) => plan({ ...OPTIONS, ...over }, seededRandom(1), nodeLuksCrypto);

/** Lays out an image with its data, or the file of its header. */
function lay({ extents, imageSize, sectors }: Plan, file: 'image' | 'header', plain: Uint8Array): Uint8Array {
  if (sectors.tags === undefined) throw new Error('no tags were planned');
  const { layout, sectorSize } = sectors;
  const out = new Uint8Array(file === 'image' ? imageSize : OPTIONS.headerSize);
  for (const extent of extents.filter((candidate) => candidate.file === file)) {
    if (extent.kind === 'bytes') out.set(extent.bytes, extent.at);
    else if (extent.kind === 'integrity') out.set(Buffer.concat([...integrityStart(extent.layout)]), extent.at);
    else {
      for (let at = 0; at < extent.size; at += sectorSize) {
        const iv = new Uint8Array(sectors.tags.ivSize).fill(at / sectorSize);
        const sector = plain.subarray(at, at + sectorSize);
        const { cipher, tag } = sealSector(sectors, BigInt(at / 512), sector, iv, nodeSectorCrypto);
        out.set(cipher, extent.at + dataPlace(layout, at));
        out.set(tag, extent.at + tagPlace(layout, at));
      }
    }
  }
  return out;
}

describe('a plan with integrity', () => {
  it.each([
    ['hmac', 4096, false, 96],
    ['hmac', 512, true, 96],
    ['gcm', 4096, true, 32],
    ['gcm', 512, false, 32],
  ] as const)(
    'makes an image that opens and holds its data: %s in sectors of %i',
    async (...[integrity, sectorSize, detached, keySize]) => {
      const made = await make({ integrity, sectorSize, detached });
      const plain = seededRandom(7)(OPTIONS.dataSize);
      const image = memoryDisk(lay(made, 'image', plain));
      const headerDisk = detached ? memoryDisk(lay(made, 'header', plain)) : image;
      const header = await readHeader(headerDisk);
      expect(checkHeaderPolicy(header)).toEqual([]);
      const { volumeKey } = await unlock(header, headerDisk, PASSPHRASE, nodeLuksCrypto);
      expect(volumeKey).toEqual(made.sectors.key);
      expect(volumeKey).toHaveLength(keySize);
      const data = await openData(image, dataSegment(header, image.size, detached));
      expect(data).toMatchObject({ size: OPTIONS.dataSize, journal: { newer: new Map() } });
      for await (const piece of readPlaintext(image, data, volumeKey, nodeSectorCrypto)) {
        expect(Buffer.compare(piece, plain)).toBe(0);
      }
      if (header.version === 2) {
        const [slot] = header.current.metadata.keyslots;
        // Whatever encrypts the data, the keyslot has AES-256-XTS.
        expect(slot).toMatchObject({ keySize, encryption: 'aes-xts-plain64', encryptionKeySize: 64 });
      }
    },
  );

  it('says what goes where: data, then what stands before them, then the header', async () => {
    const { extents, imageSize, sectors } = await make();
    const { layout } = sectors as { layout: { size: number } };
    expect(extents.map(({ kind, at }) => [kind, at])).toEqual([
      ['data', 0x100000],
      ['integrity', 0x100000],
      ['bytes', 32768],
      ['bytes', 16384],
      ['bytes', 0],
    ]);
    expect(extents[0]).toMatchObject({ size: OPTIONS.dataSize });
    expect(imageSize).toBe(0x100000 + layout.size);
    expect((await make({ detached: true })).imageSize).toBe(layout.size);
  });

  it('has keys of its own', async () => {
    const [one, other] = [await make({ integrity: 'gcm' }), await plan(OPTIONS, seededRandom(2), nodeLuksCrypto)];
    expect(one.sectors).toMatchObject({ ivKey: expect.objectContaining({ length: 32 }) });
    expect(one.sectors).not.toMatchObject({ ivKey: one.sectors.key });
    expect(other.sectors.key).not.toEqual((await make()).sectors.key);
    expect(await make()).toEqual(await make());
  });

  it.each([
    [{ version: 1, sectorSize: 512, headerSize: 0x200000 }, 'LUKS1 has no integrity tags'],
    [{ keySize: 32 }, 'integrity goes with AES-256, not with 32 bytes of key'],
    [{ sectorSize: 512, dataSize: 4608 }, 'data of 4608 bytes with integrity tags are not a multiple of 4096 bytes'],
  ] as const)('is refused with %j', async (over, message) => {
    await expect(make(over)).rejects.toMatchObject({ kind: 'usage', message });
  });
});
