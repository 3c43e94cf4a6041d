/** @module What a launch needs of a disk's manifest: the hash that the guest holds its copy of the header against, and whether its keys are secrets. */
import { BootsealError } from '../errors.ts';

/** What a launch goes by. */
export interface DiskHeader {
  /** SHA-256 of header and keyslots, 64 digits. */
  readonly sha256: string;
  /** Whether the keys of the disk follow from a seed, so that they are no secrets; also when that is not said clearly. */
  readonly testOnly: boolean;
}

/** Returns what the manifest says that `image build` wrote. Throws `format` when the text is no manifest. */
export function readDiskHeader(text: string, name: string): DiskHeader {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BootsealError('format', `${name}: not JSON`, { cause });
  }
  const {
    format,
    header,
    testOnly = false,
  } = (value ?? {}) as {
    readonly format?: unknown;
    readonly header?: { readonly sha256?: unknown } | null;
    readonly testOnly?: unknown;
  };
  const sha256 = header?.sha256;
  if (format === 'bootseal-image-1' && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)) {
    return { sha256, testOnly: testOnly !== false };
  }
  throw new BootsealError('format', `${name}: not the manifest of an image`, {
    hint: '`bootseal image build` writes it beside the image, with .json behind its name',
  });
}
