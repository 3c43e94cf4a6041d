/** @module Where the commands of `bootseal guest` find the secrets. */
import { type Command, Option } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { requireShown } from '../core/guest/table.ts';
import type { Guid } from '../core/guid.ts';
import { secretName } from '../core/secret/names.ts';
import { type Found, findSecrets, PLACES, type Place, secretsInFile } from '../guest/find-secrets.ts';
import { type Guest, thisGuest } from '../guest/guest.ts';
import { type FoundSecrets, SHOWN_BY_LIST } from '../guest/source.ts';
import { type Io, resolvePath } from './io.ts';

/** Options of every command that reads secrets. */
export interface SourceOptions {
  readonly source?: Place;
  readonly table?: string;
  readonly root?: string;
}

/** Adds them to a command. */
export function withSource(command: Command): Command {
  return command
    .addOption(new Option('--source <place>', 'look only there (default: securityfs, then memory)').choices(PLACES))
    .option('--table <file>', 'read the secret table in this file instead')
    .option('--root <folder>', "find the kernel's files below this folder instead of /");
}

/** Returns the guest that the options mean. */
export function guestOf(io: Io, { root }: SourceOptions): Guest {
  return thisGuest(root === undefined ? '/' : resolvePath(io, root));
}

/** Finds the secrets. Throws `usage` for options that exclude each other, `io` when there are none. */
export async function findFor(io: Io, options: SourceOptions): Promise<Found> {
  const { source, table } = options;
  if (table === undefined) return findSecrets(guestOf(io, options), source === undefined ? PLACES : [source]);
  if (source !== undefined) {
    throw new BootsealError('usage', '--table and --source exclude each other', {
      hint: '--table reads a file, --source chooses a place of this guest: give one of them',
    });
  }
  return secretsInFile(resolvePath(io, table));
}

/** Wipes all values that were read. */
export function wipeFound({ entries, table }: FoundSecrets): void {
  wipe(...entries.map(({ value }) => value), ...(table?.readable ?? []).map(({ value }) => value));
}

/**
 * Runs `use` with a copy of one secret, which is wiped after. Throws `io` when it is not there, `format` where Linux would show
 * nothing.
 */
export async function withSecret<T>(
  io: Io,
  guid: Guid,
  options: SourceOptions & { readonly stripNul?: boolean },
  use: (value: Uint8Array, found: Found) => Promise<T>,
): Promise<T> {
  const found = await findFor(io, options);
  const secrets = await found.source.read();
  try {
    if (secrets.table !== undefined) requireShown(secrets.table);
    const entry = secrets.entries.find((candidate) => candidate.guid === guid);
    if (entry === undefined) {
      throw new BootsealError('io', `there is no secret ${shownName(guid)} in ${found.source.place}`, {
        hint: SHOWN_BY_LIST,
      });
    }
    const { value } = entry;
    return await use(options.stripNul === true && value.at(-1) === 0 ? value.subarray(0, -1) : value, found);
  } finally {
    wipeFound(secrets);
  }
}

/** Returns the name and the GUID, for a person. */
export function shownName(guid: Guid): string {
  const name = secretName(guid);
  return name === undefined ? guid : `${name} (${guid})`;
}
