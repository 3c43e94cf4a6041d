/** @module What a launch needs of a disk's manifest: the hash that the guest holds its copy of the header against. */
import { BootsealError } from '../errors.ts';

/** Returns the SHA-256 in the manifest that `image build` wrote. Throws `format` when the text is no manifest. */
export function manifestHeaderHash(text: string, name: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BootsealError('format', `${name}: not JSON`, { cause });
  }
  const { format, header } = (value ?? {}) as { format?: unknown; header?: { sha256?: unknown } | null };
  const sha256 = header?.sha256;
  if (format === 'bootseal-image-1' && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)) return sha256;
  throw new BootsealError('format', `${name}: not the manifest of an image`, {
    hint: '`bootseal image build` writes it beside the image, with .json behind its name',
  });
}
