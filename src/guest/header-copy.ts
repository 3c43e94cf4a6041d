/**
 * @module The header of a disk that the host keeps, copied into memory before anything of it is looked at: the host could change
 * it between the check and the use.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { Disk } from '../core/luks/disk.ts';
import { readHeader } from '../core/luks/image.ts';
import type { Luks2Header } from '../core/luks/luks2.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { ioError } from '../host/io-error.ts';
import { discard, writeThrough } from '../host/new-file.ts';
import { withSignals } from '../host/signals.ts';
import { type Guest, inGuest } from './guest.ts';

/** A checked copy. */
export interface HeaderCopy {
  readonly bytes: Uint8Array;
  readonly header: Luks2Header;
}

/** What a header with its keyslots may have: four times what cryptsetup makes. */
const MAX_HEADER = 64 << 20;

/**
 * Copies the header of a LUKS2 disk, and checks the copy: against its digest where one is given, and by the header policy.
 *
 * @param disk where the header is; all of it when it is detached, else its start up to the data
 * @param sha256 hexadecimal, as the manifest of `image build` has it
 * @throws `format` when it is no LUKS2 header, `mismatch` when it is not to be trusted, `io`
 */
export async function copyHeader(disk: Disk, detached: boolean, sha256: string | undefined): Promise<HeaderCopy> {
  const size = detached ? disk.size : await sizeOf(disk);
  if (size > MAX_HEADER) {
    throw new BootsealError('format', `the header has ${size} bytes, more than ${MAX_HEADER}`, {
      hint: 'give as header what image build or cryptsetup made as one, which has 16 MiB, not the disk behind it',
    });
  }
  const bytes = await disk.read(0, size);
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== undefined && sha256 !== digest) {
    throw new BootsealError('mismatch', `the header is not the one that was made: its SHA-256 is ${digest}`, {
      hint: 'the host has changed or exchanged it, or it was changed by the owner since the manifest was written',
    });
  }
  const header = luks2(await readHeader(diskOf(bytes)));
  const [finding] = checkHeaderPolicy(header);
  if (finding !== undefined)
    throw new BootsealError('mismatch', `the header is not to be trusted: ${finding.message}`, {
      hint: 'the host can write it: give the disk no key, and compare the header with a copy that you made yourself',
    });
  return { bytes, header };
}

/** Reads where the data begin. What a first look says only decides how much is copied: the copy is read anew. */
async function sizeOf(disk: Disk): Promise<number> {
  const offsets = luks2(await readHeader(disk)).current.metadata.segments.map(({ offset }) => Number(offset));
  const size = Math.min(...offsets, disk.size);
  if (size > 0) return size;
  throw new BootsealError('usage', 'this is a detached header: the data are in another file', {
    hint: 'give the disk with the data, and this one with --header',
  });
}

function luks2(header: Awaited<ReturnType<typeof readHeader>>): Luks2Header {
  if (header.version === 2) return header;
  throw new BootsealError('format', 'a LUKS1 header has no tokens: only LUKS2 can be unlocked through the keyring', {
    hint: 'build the image again, or convert it on a machine of yours with cryptsetup convert --type luks2',
  });
}

function diskOf(bytes: Uint8Array): Disk {
  return { size: bytes.length, read: async (at, size) => new Uint8Array(bytes.subarray(at, at + size)) };
}

/**
 * Runs `use` with the copy as a file in /run, which is memory, readable by root only, and removes it after; a signal waits for that.
 * Throws `io`.
 */
export async function withHeaderFile<T>(
  guest: Guest,
  { bytes }: HeaderCopy,
  use: (file: string) => Promise<T>,
): Promise<T> {
  const file = path.join(inGuest(guest, '/run'), `bootseal-${randomBytes(8).toString('hex')}.header`);
  return withSignals(async () => {
    try {
      await writeThrough(file, 0o600, (write) => write(bytes)).catch((cause: unknown) => {
        throw ioError(cause, file, 'write');
      });
      return await use(file);
    } finally {
      await discard(file);
    }
  });
}
