/** @module The check before every build that this machine encrypts and authenticates sectors as they will be read. */
import * as crypto from 'node:crypto';
import { wipe } from '../../core/bytes.ts';
import { BootsealError } from '../../core/errors.ts';
import type { TagScheme } from '../../core/luks/integrity/schemes.ts';
import { openSector } from '../../core/luks/integrity/tags.ts';
import { nodeSectorCrypto } from '../node-luks.ts';
import { checkXts } from '../xts/check.ts';
import type { SectorSize } from '../xts/xts.ts';
import { openSealer } from './sealer.ts';

/** Bytes before the first sectors that are compared: at the start, and where the number of the sector outgrows 32 bits. */
const FIRST = [0, 2 ** 41 - 2 * 4096];

const SECTORS = 5;

/**
 * Throws `tool` when some sectors, under a random key, do not come out as OpenSSL does them or, with tags, as the core reads them.
 *
 * @param open what makes the sealer, other than in tests
 */
export function checkSealer(
  sectorSize: SectorSize,
  tags: TagScheme | undefined,
  open: typeof openSealer = openSealer,
): void {
  if (tags?.mode !== 'gcm') checkXts(sectorSize);
  if (tags === undefined) return;
  const key = crypto.randomBytes(tags.mode === 'gcm' ? 32 : 64 + tags.macKeySize);
  const plain = crypto.randomBytes(SECTORS * sectorSize);
  const sealer = open(key, sectorSize, { tags, ivKey: crypto.randomBytes(32) });
  for (const first of FIRST) {
    sealer.block.set(plain);
    const made = sealer.seal(first, plain.length);
    for (let sector = 0; sector < SECTORS; sector++) {
      const [start, end] = [sector * sectorSize, (sector + 1) * sectorSize];
      const sealed = {
        cipher: sealer.block.subarray(start, end),
        tag: made.subarray(sector * tags.tagSize, (sector + 1) * tags.tagSize),
      };
      const opened = openSector({ tags, key, ivTweak: 0n }, BigInt((first + start) / 512), sealed, nodeSectorCrypto);
      if (opened === undefined || Buffer.compare(opened, plain.subarray(start, end)) !== 0) throw wrong();
    }
  }
  sealer.wipe();
  wipe(key);
}

function wrong(): BootsealError {
  return new BootsealError('tool', 'sectors with tags come out wrong on this machine', {
    hint: 'no image was written; run it with another version of Node, and report this',
  });
}
