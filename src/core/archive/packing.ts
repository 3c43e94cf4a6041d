/** @module How a file is packed, told by its first bytes. */
import { BootsealError } from '../errors.ts';

/** A way in which archives are compressed here. */
export type Packing = 'none' | 'gzip' | 'zstd';

/** A format, and what is done about one that is not read here. */
interface Format {
  readonly name: string;
  readonly start: string;
  /** Bytes before that; none where absent. */
  readonly at?: number;
  readonly hint?: string;
}

const UNPACK = 'unpack it first, for instance into --from -';
const CONVERT = 'convert it with qemu-img convert -O raw';
const AS_TAR = 'unpack it into a folder, and give that';

/** What files of each begin with, as file(1) knows it (magic/Magdir of file/file). */
const FORMATS: readonly Format[] = [
  { name: 'gzip', start: '\x1f\x8b' },
  { name: 'zstd', start: '\x28\xb5\x2f\xfd' },
  { name: 'xz', start: '\xfd7zXZ\0', hint: UNPACK },
  { name: 'bzip2', start: 'BZh', hint: UNPACK },
  { name: 'lz4', start: '\x04\x22\x4d\x18', hint: UNPACK },
  { name: 'qcow2', start: 'QFI\xfb', hint: CONVERT },
  { name: 'VMDK', start: 'KDMV', hint: CONVERT },
  { name: 'VMDK', start: '# Disk DescriptorFile', hint: CONVERT },
  { name: 'VHDX', start: 'vhdxfile', hint: CONVERT },
  { name: 'VHD', start: 'conectix', hint: CONVERT },
  { name: 'VDI', start: '\x7f\x10\xda\xbe', at: 64, hint: CONVERT },
  { name: 'cpio', start: '07070', hint: AS_TAR },
  { name: 'zip', start: 'PK\x03\x04', hint: AS_TAR },
  { name: '7-Zip', start: '7z\xbc\xaf\x27\x1c', hint: AS_TAR },
  { name: 'ar or deb', start: '!<arch>\n', hint: AS_TAR },
  { name: 'RPM', start: '\xed\xab\xee\xdb', hint: AS_TAR },
];

/**
 * Says how what begins with these bytes is packed.
 *
 * @throws `usage` for what is packed in a way that is not read here: encrypted as it is, nothing in the guest could use it
 */
export function packingOf(start: Uint8Array, name: string): Packing {
  const found = FORMATS.find(({ start: bytes, at = 0 }) =>
    [...bytes].every((letter, i) => start[at + i] === letter.charCodeAt(0)),
  );
  if (found === undefined) return 'none';
  if (found.name === 'gzip' || found.name === 'zstd') return found.name;
  throw new BootsealError('usage', `${name} is packed as ${found.name}, which is not read here`, {
    hint: found.hint ?? UNPACK,
  });
}
