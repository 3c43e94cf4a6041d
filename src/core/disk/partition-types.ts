/**
 * @module Types of partitions that a guest finds by themselves, without a table of mounts (UAPI Group, Discoverable Partitions
 * Specification). An encrypted root keeps the type of a root.
 */
import type { Guid } from '../guid.ts';

/** Architectures, as the specification names them. */
export const ARCHITECTURES = ['x86-64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** EFI system partition. */
export const ESP_TYPE: Guid = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';

/** Root of each architecture, and the hash tree of dm-verity that belongs to it. */
export const ROOT_TYPES: Readonly<Record<Architecture, { readonly root: Guid; readonly verity: Guid }>> = {
  'x86-64': { root: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709', verity: '2c7357ed-ebd2-46d9-aec1-23d437ec2bf5' },
  arm64: { root: 'b921b045-1df0-41c3-af44-4c6f280d3fae', verity: 'df3300ce-d69f-4c92-978c-9bfb0f38d820' },
};

/** Bit 60 of a partition's attributes: not to be written to. */
export const READ_ONLY = 1n << 60n;
