/** @module What the decrypted data of an image are, and whether that is what the manifest says and what their superblock says. */
import { checkExt4 } from '../core/disk/check-ext4.ts';
import { checkErofs } from '../core/disk/erofs-superblock.ts';
import { identifyPayload, PAYLOAD_START } from '../core/disk/payload.ts';
import { BootsealError } from '../core/errors.ts';
import { detectFilesystem } from '../core/filesystem.ts';
import type { Disk } from '../core/luks/disk.ts';
import type { NamedClaims } from './image-pinned.ts';

/** What data are. */
export interface Content {
  /** Null when it is nothing known. */
  readonly filesystem: string | null;
  /** Whether more than its signature was looked at. */
  readonly checked: boolean;
  /** Sentences without a full stop. */
  readonly problems: readonly string[];
}

const CHECKS: Readonly<Record<string, (disk: Disk) => Promise<void>>> = { ext4: checkExt4, erofs: checkErofs };

/** Says what the plaintext is, and what of it is not as its superblock or the manifest says. Throws `io`. */
export async function judgeContent(plain: Disk, claims: NamedClaims | undefined): Promise<Content> {
  const start = await plain.read(0, PAYLOAD_START);
  const filesystem = detectFilesystem(start) ?? null;
  const check = filesystem === null ? undefined : CHECKS[filesystem];
  const broken = await brokenBy(check, plain);
  const what = identifyPayload(start)?.what ?? 'nothing that is known here';
  const expected = claims?.payload ?? what;
  const problems = [
    ...(expected === what ? [] : [`the data are ${what}, and ${claims?.name} says ${expected}`]),
    ...(broken === undefined ? [] : [broken]),
  ];
  return { filesystem, checked: check !== undefined, problems };
}

async function brokenBy(check: ((disk: Disk) => Promise<void>) | undefined, plain: Disk): Promise<string | undefined> {
  try {
    await check?.(plain);
    return undefined;
  } catch (error) {
    if (error instanceof BootsealError && error.kind === 'format') return error.message;
    throw error;
  }
}
