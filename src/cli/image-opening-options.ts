/** @module The options that say how an image is opened: a key for one that is encrypted, a root hash for one with a hash tree. */
import { type Command, Option } from 'commander';
import {
  HEADER_HELP,
  KEY_FILE_HELP,
  KEYSLOT_HELP,
  PARTITION_HELP,
  parseKeyslot,
  parsePartition,
} from './image-input.ts';
import { OF_LUKS, parseHashOffset, parseRootHash } from './image-verity-input.ts';

const ROOT_HASH_HELP =
  'instead of a key, for a disk with a hash tree: its root hash (default: that of the manifest beside the image)';
const HASH_OFFSET_HELP =
  'where the hash tree of a disk without partitions begins (default: as the manifest says, or behind the file system)';

/** Adds them; those of the two kinds exclude each other. */
export function addOpeningOptions(command: Command): Command {
  return command
    .option('--key-file <file>', KEY_FILE_HELP)
    .option('--header <file>', HEADER_HELP)
    .option('--partition <number>', PARTITION_HELP, parsePartition)
    .option('--keyslot <number>', KEYSLOT_HELP, parseKeyslot)
    .addOption(new Option('--root-hash <hex>', ROOT_HASH_HELP).argParser(parseRootHash).conflicts(OF_LUKS))
    .addOption(new Option('--hash-offset <bytes>', HASH_OFFSET_HELP).argParser(parseHashOffset).conflicts(OF_LUKS));
}
