/**
 * @module The manifest of an image: what the guest checks its copy of the unauthenticated header against, and what the owner's
 * other commands need to know. It holds nothing secret.
 */
import type { DiskExtent, DiskPlan, PartitionTable } from '../disk/shape.ts';
import { unusedBytes } from '../disk/units.ts';
import type { Hashes } from '../hash.ts';
import { bytesToHex } from '../hex.ts';
import { SECRET_NAMES } from '../secret/names.ts';
import type { Plan, PlanOptions } from './plan.ts';
import { encryptionOf } from './plan-sectors.ts';

/** Whose key a keyslot is for: the launch secret's, one that the owner keeps; null when it was made by something else. */
export type KeyPurpose = 'launch-secret' | 'recovery' | null;

/** What a manifest says besides the plan. */
export interface ManifestInputs {
  /** Of the LUKS image by itself. */
  readonly plan: Plan;
  /** The whole disk. */
  readonly disk: Pick<DiskPlan, 'extents' | 'imageSize' | 'format' | 'diskSize' | 'partitionTable'>;
  readonly options: PlanOptions;
  /** Of the plan's keys, in their order. */
  readonly purposes: readonly KeyPurpose[];
  /** Name of the image, and of the file of its detached header, without folders. */
  readonly image: string;
  readonly header: string | undefined;
  readonly payload: {
    /** Bytes that were given; the rest of the last sector is zeros. */
    readonly size: number;
    /** What they are, if that is known. */
    readonly what: string | undefined;
  };
  /** Whether the randomness came from a seed. */
  readonly testOnly: boolean;
}

/** The manifest; numbers are bytes. */
export interface Manifest {
  readonly format: 'bootseal-image-1';
  /** Whether it was made with --seed, so that its keys are no secrets. */
  readonly testOnly: boolean;
  readonly image: string;
  readonly imageBytes: number;
  /** Of the file; `format` is that of this manifest. */
  readonly imageFormat: 'raw' | 'qcow2';
  /** What the guest sees. */
  readonly diskBytes: number;
  /** Null where the disk is the LUKS image and nothing else; what is said below of offsets counts from the start of the LUKS image. */
  readonly partitionTable: PartitionTable | null;
  readonly luks: { readonly version: 1 | 2; readonly uuid: string; readonly label: string | null };
  /** The region of headers and keyslots: the whole file when detached, else the start of the image up to the data. */
  readonly header: { readonly file: string | null; readonly bytes: number; readonly sha256: string };
  readonly data: {
    readonly offset: number;
    readonly bytes: number;
    readonly cipher: string;
    readonly keyBits: number;
    readonly sectorSize: number;
    /** The kind of tags that every sector has, or null; `keyBits` are with their key. */
    readonly integrity: string | null;
    /** Whether every sector is encrypted, also those that hold nothing. */
    readonly everySector: boolean;
    /** Bytes of free blocks that were left out, so that the host sees which they are. */
    readonly skippedBytes: number;
  };
  readonly payload: { readonly bytes: number; readonly what: string | null };
  readonly keyslots: readonly { readonly keyslot: number; readonly kdf: string; readonly purpose: KeyPurpose }[];
  /** The launch secret that opens the image. */
  readonly key: { readonly name: 'disk-passphrase'; readonly guid: string };
}

/** Returns the manifest of an image. */
export function imageManifest(
  { plan, disk, options, purposes, image, header, payload, testOnly }: ManifestInputs,
  hashes: Pick<Hashes, 'startSha256'>,
): Manifest {
  const skipped = skippedBytes(disk.extents);
  return {
    format: 'bootseal-image-1',
    testOnly,
    image,
    imageBytes: disk.imageSize,
    imageFormat: disk.format,
    diskBytes: disk.diskSize,
    partitionTable: disk.partitionTable ?? null,
    luks: { version: options.version, uuid: plan.uuid, label: options.label ?? null },
    header: {
      file: header ?? null,
      bytes: options.headerSize,
      sha256: bytesToHex(headerHash(plan, options.headerSize, hashes)),
    },
    data: {
      offset: options.detached ? 0 : options.headerSize,
      bytes: options.dataSize,
      cipher: encryptionOf(plan.sectors),
      keyBits: plan.sectors.key.length * 8,
      sectorSize: options.sectorSize,
      integrity: plan.sectors.tags?.integrity ?? null,
      everySector: skipped === 0,
      skippedBytes: skipped,
    },
    payload: { bytes: payload.size, what: payload.what ?? null },
    keyslots: options.keys.map(({ kdf }, id) => ({ keyslot: id, kdf: kdf.type, purpose: purposes[id] ?? null })),
    key: { name: 'disk-passphrase', guid: SECRET_NAMES['disk-passphrase'] },
  };
}

function skippedBytes(extents: readonly DiskExtent[]): number {
  return extents.reduce((sum, extent) => {
    return extent.kind !== 'data' || extent.used === undefined ? sum : sum + unusedBytes(extent.used, extent.size);
  }, 0);
}

/** Returns the text of a manifest file. */
export function printManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** Hashes headers and keyslots as they will stand on the disk. */
function headerHash({ extents }: Plan, size: number, { startSha256 }: Pick<Hashes, 'startSha256'>): Uint8Array {
  const hash = startSha256();
  let end = 0;
  const parts = extents.filter((extent) => extent.kind === 'bytes');
  for (const { at, bytes } of parts.sort((a, b) => a.at - b.at)) {
    hash.update(new Uint8Array(at - end));
    hash.update(bytes);
    end = at + bytes.length;
  }
  hash.update(new Uint8Array(size - end));
  return hash.digest();
}
