/** @module What `image inspect` says of an image, for a person. */
import { quoted } from '../core/luks/quote.ts';
import { secretName } from '../core/secret/names.ts';
import type { Copy, ImageDescription, KdfCost } from './image-description.ts';

/** Returns the description for a person; names out of the header are quoted, since their writer may be hostile. */
export function imageText(image: ImageDescription): string {
  const lines = [
    `LUKS${image.version}, UUID ${quoted(image.uuid)}${named('label', image.label)}${named('subsystem', image.subsystem)}`,
    ...(image.copies === null
      ? []
      : [`header: primary ${copyText(image.copies.primary)}, secondary ${copyText(image.copies.secondary)}`]),
    ...image.keyslots.map(keyslotText),
    ...image.segments.map(segmentText),
    ...image.tokens.map(tokenText),
    ...image.digests.map(
      ({ id, keyslots, segments }) =>
        `digest ${id}: of the key in ${many('keyslot', keyslots)}, for ${many('segment', segments)}`,
    ),
    ...(image.flags.length === 0 ? [] : [`flags: ${image.flags.map(quoted).join(', ')}`]),
    ...(image.requirements.length === 0 ? [] : [`requirements: ${image.requirements.map(quoted).join(', ')}`]),
    image.policy.accepted ? 'policy: accepted' : 'policy: refused',
    ...image.policy.findings.map(({ rule, message }) => `  ${rule}: ${message}`),
  ];
  return `${lines.join('\n')}\n`;
}

function named(what: string, name: string | null): string {
  return name === null || name === '' ? '' : `, ${what} ${quoted(name)}`;
}

function copyText(copy: Copy): string {
  return copy.state === 'bad' ? `bad (${copy.reason})` : `${copy.state} (sequence ${copy.seqid})`;
}

const PRIORITY = ['only when asked for', 'normal priority', 'tried first'];

function keyslotText({
  id,
  type,
  keyBytes,
  priority,
  encryption,
  encryptionKeyBytes,
  kdf,
}: ImageDescription['keyslots'][number]): string {
  const key = `keyslot ${id}: key of ${keyBytes * 8} bits`;
  if (encryption === null || encryptionKeyBytes === null || kdf === null) return `${key}, of the type ${quoted(type)}`;
  const order = priority === null ? '' : `, ${PRIORITY[priority]}`;
  return `${key} under ${quoted(encryption)} of ${encryptionKeyBytes * 8} bits, ${kdfText(kdf)}${order}`;
}

function kdfText(kdf: KdfCost): string {
  if ('iterations' in kdf) return `pbkdf2 of ${quoted(kdf.hash)} with ${kdf.iterations} iterations`;
  if ('time' in kdf)
    return `${kdf.type} with ${kdf.time} passes over ${kdf.memoryKib} KiB in ${kdf.cpus} ${kdf.cpus === 1 ? 'lane' : 'lanes'}`;
  return `key derivation ${quoted(kdf.type)}`;
}

function segmentText({
  id,
  type,
  offset,
  size,
  encryption,
  sectorSize,
  integrity,
}: ImageDescription['segments'][number]): string {
  const place = `segment ${id}: ${size === null ? 'all' : `${size} bytes`} from ${offset}`;
  if (encryption === null) return `${place}, of the type ${quoted(type)}`;
  const tags = integrity === null ? 'no integrity' : `integrity ${quoted(integrity)}`;
  return `${place}, ${quoted(encryption)} in sectors of ${sectorSize}, ${tags}`;
}

function tokenText({ id, type, keyslots, secret, keyDescription }: ImageDescription['tokens'][number]): string {
  const token = `token ${id}: ${quoted(type)} for ${many('keyslot', keyslots)}`;
  if (secret !== null) return `${token}, launch secret ${secretName(secret) ?? secret}`;
  return keyDescription === null ? token : `${token}, key ${quoted(keyDescription)} of the keyring`;
}

function many(what: string, numbers: readonly number[]): string {
  return numbers.length === 0 ? `no ${what}` : `${what}${numbers.length === 1 ? '' : 's'} ${numbers.join(', ')}`;
}
