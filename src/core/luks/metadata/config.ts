/**
 * @module The config object of LUKS2 metadata: sizes of the header's areas, flags and requirements (LUKS2 On-Disk Format
 * Specification 1.1.4, section 3.6; where it differs, cryptsetup's lib/luks2/luks2_json_metadata.c is followed).
 */
import { decimalField, invalid, objectField, optionalStringsField, type Place } from './fields.ts';

/** The config object. */
export interface Config {
  /** Bytes. */
  readonly jsonSize: number;
  readonly keyslotsSize: number;
  readonly flags: readonly string[];
  /** What a reader must know before it may write or activate, such as `online-reencrypt-v2`; empty for a plain image. */
  readonly requirements: readonly string[];
}

/** Bytes of a header copy (binary header and JSON area): the only sizes that are allowed. */
export const HEADER_SIZES: readonly number[] = Array.from({ length: 9 }, (_, i) => 0x4000 << i);
/** Bytes of the binary header before the JSON area. */
export const BINARY_HEADER_SIZE = 4096;
/** Bytes; cryptsetup's LUKS2_MAX_KEYSLOTS_SIZE. */
const MAX_KEYSLOTS_SIZE = 128 << 20;
const ONLINE_REENCRYPT = /^online-reencrypt(-v[0-9]+)?$/;

/** Reads the object `config` of a header copy of `headerSize` bytes; throws `format` naming the first place that breaks a rule. */
export function readConfig(place: Place, headerSize: number): Config {
  const jsonSize = Number(decimalField(place, 'json_size'));
  const keyslotsSize = Number(decimalField(place, 'keyslots_size'));
  if (!HEADER_SIZES.includes(jsonSize + BINARY_HEADER_SIZE)) {
    throw invalid('config.json_size', `${jsonSize} is none of the sizes that are allowed`);
  }
  if (jsonSize + BINARY_HEADER_SIZE !== headerSize) {
    throw invalid('config.json_size', `${jsonSize} does not go with a header of ${headerSize} bytes`);
  }
  if (keyslotsSize > MAX_KEYSLOTS_SIZE || keyslotsSize % 4096 !== 0) {
    throw invalid('config.keyslots_size', `${keyslotsSize} is not a multiple of 4096 up to ${MAX_KEYSLOTS_SIZE}`);
  }
  return { jsonSize, keyslotsSize, flags: optionalStringsField(place, 'flags'), requirements: readRequirements(place) };
}

/** Says whether a requirement is that of an online reencryption under way. */
export function isOnlineReencrypt(requirement: string): boolean {
  return ONLINE_REENCRYPT.test(requirement);
}

function readRequirements(config: Place): readonly string[] {
  if (!config.object.has('requirements')) return [];
  const mandatory = optionalStringsField(objectField(config, 'requirements'), 'mandatory');
  if (mandatory.filter(isOnlineReencrypt).length > 1) {
    throw invalid('config.requirements.mandatory', 'online reencryption is required more than once');
  }
  return mandatory;
}
