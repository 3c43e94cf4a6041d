/** @module `bootseal secret inspect`: what a secret table holds, without showing values. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import type { Guid } from '../core/guid.ts';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import { guidWarning, secretGuid, secretName } from '../core/secret/names.ts';
import { parseSecretTable, type SecretTable } from '../core/secret/table.ts';
import { isFolder } from '../host/files.ts';
import { writeNewFile } from '../host/new-file.ts';
import { type Io, printResult, readInput, remark, resolvePath } from './io.ts';
import { MEASUREMENT_HELP } from './measurement-input.ts';
import { checkOutputs } from './outputs.ts';
import { LEGACY_HELP, type OpeningOptions, openFolder, packetInputs } from './packet-folder.ts';
import { secretFile } from './secret-file.ts';

interface Options extends Partial<OpeningOptions> {
  readonly value?: Guid;
  readonly out?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Returns the command. */
export function secretInspectCommand(io: Io): Command {
  return new Command('inspect')
    .summary('list the secrets in a table or packet')
    .description('List the secrets in a plain table, or in a folder of secret build; values stay hidden.')
    .argument('<file>', 'plain table (or -), or a folder that secret build wrote')
    .option('--tk <file>', 'for a folder: transport keys of the session')
    .option('--measurement <value>', `for a folder: ${MEASUREMENT_HELP}`)
    .option('--legacy-api', `for a folder: ${LEGACY_HELP}`)
    .option('--value <guid|name>', 'write the value of this secret to --out', secretGuid)
    .option('--out <file>', 'new file for the value, readable only by its owner')
    .option('--force', 'replace the file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal secret inspect table.bin
  bootseal secret inspect packet --tk launch/tk --measurement measurement.b64
  bootseal secret inspect table.bin --value disk-passphrase --out passphrase.bin`,
    )
    .action(async (file: string, options: Options) => inspect(io, file, options));
}

async function inspect(io: Io, file: string, options: Options): Promise<void> {
  if ((options.value === undefined) !== (options.out === undefined)) {
    throw new BootsealError('usage', '--value and --out belong together', {
      hint: 'give both: a value is written to a file only',
    });
  }
  const out = secretFile(options.out ?? '');
  const isPacket = file !== '-' && (await isFolder(resolvePath(io, file)));
  const read = [...(isPacket ? packetInputs(file) : [file]), options.tk, options.measurement];
  await checkOutputs(io, [options.out], read);
  const area = await readTable(io, file, isPacket, options);
  let table: SecretTable | undefined;
  try {
    table = parseSecretTable(area);
    const text = options.json === true ? printJson(table, area.length) : printText(table, area.length);
    const { entries } = table;
    const announce = () => {
      for (const { guid } of entries) {
        const warning = guidWarning(guid);
        if (warning !== undefined) remark(io, 'warning', warning);
      }
      printResult(io, text);
    };
    if (options.value === undefined) announce();
    else
      await writeNewFile(resolvePath(io, out), secretIn(table, options.value), 0o600, options.force === true, announce);
  } finally {
    wipe(area, ...(table?.entries ?? []).map(({ value }) => value));
  }
}

async function readTable(io: Io, file: string, isPacket: boolean, options: Options): Promise<Uint8Array> {
  const { tk, measurement, legacyApi = false } = options;
  if (!isPacket) {
    if (tk !== undefined || measurement !== undefined || legacyApi) {
      throw new BootsealError('usage', `${file} is no folder of secret build: a plain table needs no keys`, {
        hint: 'leave --tk and --measurement out',
      });
    }
    return readInput(io, file, MAX_PAYLOAD);
  }
  if (tk === undefined || measurement === undefined) {
    throw new BootsealError(
      'usage',
      `${file} is a folder with a packet: --tk and --measurement are needed to open it`,
      { hint: 'give both, or the file of a plain table' },
    );
  }
  return openFolder(io, file, { tk, measurement, legacyApi });
}

function secretIn(table: SecretTable, guid: Guid): Uint8Array {
  const entry = table.entries.find((candidate) => candidate.guid === guid);
  if (entry === undefined) {
    throw new BootsealError('usage', `there is no secret ${guid} in the table`, {
      hint: 'without --value, all GUIDs in it are listed',
    });
  }
  return entry.value;
}

function describeEntries({ entries }: SecretTable) {
  return entries.map(({ guid, value }) => ({
    guid,
    name: secretName(guid) ?? null,
    bytes: value.length,
    nulTerminated: value.at(-1) === 0,
  }));
}

function printJson(table: SecretTable, areaBytes: number): string {
  const { deleted, length } = table;
  return `${JSON.stringify({ entries: describeEntries(table), deleted, length, areaBytes })}\n`;
}

function printText(table: SecretTable, areaBytes: number): string {
  const lines = describeEntries(table).map(
    ({ guid, name, bytes, nulTerminated }) =>
      `${guid}  ${name ?? '-'}  ${bytes} bytes  ${nulTerminated ? 'NUL-terminated' : 'raw'}  ********`,
  );
  const deleted = table.deleted === 0 ? '' : `, ${table.deleted} deleted entries`;
  return `${[...lines, `table: ${table.length} bytes in ${areaBytes}${deleted}`].join('\n')}\n`;
}
