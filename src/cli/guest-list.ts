/** @module `bootseal guest list`: which secrets this guest was given, without their values. */
import { Command } from 'commander';
import { type GuestTable, requireShown } from '../core/guest/table.ts';
import { guidWarning, secretName } from '../core/secret/names.ts';
import type { TableEntry } from '../core/secret/table.ts';
import type { Found } from '../guest/find-secrets.ts';
import { findFor, type SourceOptions, wipeFound, withSource } from './guest-source.ts';
import { type Io, printableLines, remark } from './io.ts';

interface Options extends SourceOptions {
  readonly salvage?: true;
  readonly json?: true;
}

/** Returns the command. */
export function guestListCommand(io: Io): Command {
  return withSource(
    new Command('list')
      .summary('list the secrets of this guest')
      .description(
        "List the secrets that were injected into this guest: those that Linux's driver shows, and without the driver those that it would show. Values stay hidden.",
      ),
  )
    .option('--salvage', 'list all that can be read of a table of which Linux would show nothing, and say why')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal guest list
  bootseal guest list --source memory --json
  bootseal guest list --table table.bin --salvage`,
    )
    .action(async (options: Options) => list(io, options));
}

async function list(io: Io, options: Options): Promise<void> {
  const found = await findFor(io, options);
  const secrets = await found.source.read();
  try {
    const { table } = secrets;
    const salvage = options.salvage === true && table !== undefined;
    if (table !== undefined && !salvage) requireShown(table);
    const entries = salvage ? table.readable : secrets.entries;
    for (const text of [...entryWarnings(entries), ...tableWarnings(table)]) remark(io, 'warning', text);
    io.stdout.write(options.json === true ? printJson(found, entries, table) : printText(found, entries, table));
  } finally {
    wipeFound(secrets);
  }
}

const entryWarnings = (entries: readonly TableEntry[]): string[] =>
  entries.map(({ guid }) => guidWarning(guid)).filter((text) => text !== undefined);

function tableWarnings(table: GuestTable | undefined): string[] {
  if (table === undefined) return [];
  const { refusal, readable, shown } = table;
  if (refusal !== null) return [`Linux's driver would show none of this (${refusal.errno}): ${refusal.reason}`];
  const dropped = readable.length - shown.length;
  return dropped === 0 ? [] : [`${dropped} more secrets are in the table, which Linux's driver drops: it shows 64`];
}

const describe = ({ guid, value }: TableEntry) => ({
  guid,
  name: secretName(guid) ?? null,
  bytes: value.length,
  nulTerminated: value.at(-1) === 0,
});

function printJson({ source, passed }: Found, entries: readonly TableEntry[], table: GuestTable | undefined): string {
  return `${JSON.stringify({
    source: { kind: source.kind, place: source.place },
    passed,
    entries: entries.map(describe),
    refusal: table?.refusal ?? null,
    deleted: table?.deleted ?? null,
    dropped: table === undefined || table.refusal !== null ? null : table.readable.length - table.shown.length,
  })}\n`;
}

function printText({ source, passed }: Found, entries: readonly TableEntry[], table: GuestTable | undefined): string {
  const lines = [
    ...passed.map(({ place, why }) => `not from ${place}: ${why}`),
    `from ${source.place}`,
    ...entries
      .map(describe)
      .map(
        ({ guid, name, bytes, nulTerminated }) =>
          `${guid}  ${name ?? '-'}  ${bytes} bytes  ${nulTerminated ? 'NUL-terminated' : 'raw'}  ********`,
      ),
    ...(entries.length === 0 ? [whyNone(table)] : []),
  ];
  return printableLines(lines);
}

function whyNone(table: GuestTable | undefined): string {
  const code = table?.refusal?.code;
  if (code === undefined) return 'no secrets: none were injected, or all are erased';
  if (code === 'no-table') return 'there is no table: none was injected, or all of it is erased';
  // GRUB zeroes what it has used with its length: where the next entry begins is lost.
  if (code === 'entry-corrupted') return 'nothing can be read before the broken entry; secrets may lie behind it';
  return 'nothing can be read of this table';
}
