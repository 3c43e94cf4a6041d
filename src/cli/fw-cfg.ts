/** @module What QEMU hands to the firmware by fw_cfg: out of a copy of what a guest shows of it, or the ACPI files alone. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { AcpiFiles } from '../core/rtmr/direct-boot.ts';
import { type FwCfgItems, MEASURED_FILES } from '../core/rtmr/fw-cfg.ts';
import { ioError } from '../host/io-error.ts';
import { type Io, readInput, resolvePath } from './io.ts';
import { NAMED_BLOBS, type NamedBlob } from './kernel-header.ts';

/** What commander makes of the options of {@link addFwCfgOptions}. */
export interface FwCfgOptions {
  readonly acpiLoader?: string;
  readonly acpiRsdp?: string;
  readonly acpiTables?: string;
  readonly fwCfg?: string;
  readonly bootMenu?: true;
}

/** Adds the options to `command`. */
export function addFwCfgOptions(command: Command): Command {
  return command
    .option('--acpi-loader <file>', 'etc/table-loader of fw_cfg; for RTMR0')
    .option('--acpi-rsdp <file>', 'etc/acpi/rsdp of fw_cfg; for RTMR0')
    .option('--acpi-tables <file>', 'etc/acpi/tables of fw_cfg; for RTMR0')
    .option(
      '--fw-cfg <folder>',
      "a copy of a guest's fw_cfg with these three and other items that are measured; for RTMR0",
    )
    .option('--boot-menu', 'with --fw-cfg: QEMU has -boot menu=on');
}

/** Reads the file `file` of at most `limit` bytes in the role `role`; throws `io`. */
type Read = (role: string, file: string, limit: number) => Promise<Uint8Array>;

/** What of fw_cfg is known. */
interface Known {
  readonly acpi: AcpiFiles | undefined;
  readonly fwCfg: FwCfgItems | undefined;
  /** The items of etc/boot in the copy; undefined without one. */
  readonly named: ReadonlySet<NamedBlob> | undefined;
}

/** Far more than QEMU has in one; bytes. */
const MOST_BYTES = 2 ** 24;

/** Reads what the options name. Throws `usage` for options that do not go together, `format` for a copy that is not whole, `io`. */
export async function fwCfgOf(io: Io, options: FwCfgOptions, read: Read): Promise<Known> {
  const { fwCfg, bootMenu, acpiLoader, acpiRsdp, acpiTables } = options;
  if (fwCfg === undefined) {
    if (bootMenu === undefined) {
      return { acpi: await acpiFiles(options, read), fwCfg: undefined, named: undefined };
    }
    throw new BootsealError('usage', '--boot-menu goes with --fw-cfg', {
      hint: 'give the other items of fw_cfg as well, or leave it out',
    });
  }
  if ((acpiLoader ?? acpiRsdp ?? acpiTables) !== undefined) {
    throw new BootsealError('usage', '--fw-cfg and the ACPI files exclude each other', {
      hint: 'the folder has them: leave --acpi-loader, --acpi-rsdp and --acpi-tables out',
    });
  }
  // Refuses an empty name, of which path.join would make the folder at hand.
  resolvePath(io, fwCfg);
  return readFolder(io, fwCfg, bootMenu === true, read);
}

/** An item that is not in the folder is one that the host has not; the ACPI files have to be there. */
async function readFolder(io: Io, folder: string, bootMenu: boolean, read: Read): Promise<Known> {
  const readItem = async (role: string, name: string) => {
    const item = path.join(folder, name);
    const bytes = await read(role, path.join(item, 'raw'), MOST_BYTES).catch(async (error: unknown) => {
      // Who may not read an item copies its folder without it; of one that is a link, without -L nothing but the link.
      if (isAbsent(error) && (await isThere(io, item)))
        throw notWhole(`${item}: the item is there, and its contents (raw) are not`);
      throw error;
    });
    await checkWhole(io, item, bytes);
    return bytes;
  };
  const acpi = {
    loader: await readItem('acpiLoader', 'etc/table-loader'),
    rsdp: await readItem('acpiRsdp', 'etc/acpi/rsdp'),
    tables: await readItem('acpiTables', 'etc/acpi/tables'),
  };
  const files = new Map<string, Uint8Array>();
  for (const name of MEASURED_FILES) {
    const bytes = await readItem(name, name).catch(ifAbsent);
    if (bytes !== undefined) files.set(name, bytes);
  }
  const named = new Set<NamedBlob>();
  for (const blob of Object.keys(NAMED_BLOBS) as NamedBlob[]) {
    if (await isThere(io, path.join(folder, 'etc/boot', blob))) named.add(blob);
  }
  return { acpi, fwCfg: { files, bootMenu }, named };
}

/** Linux says the size of an item beside it. */
async function checkWhole(io: Io, item: string, { length }: Uint8Array): Promise<void> {
  const text = await readInput(io, path.join(item, 'size'), 64).catch(ifAbsent);
  if (text === undefined) return;
  const size = Buffer.from(text).toString('latin1').trim();
  if (size === `${length}`) return;
  const said = /^[0-9]{1,20}$/.test(size) ? `its size is ${size}` : 'its size is no number';
  throw notWhole(`${item}: ${length} bytes are there, and ${said}`);
}

function notWhole(message: string): BootsealError {
  return new BootsealError('format', message, {
    hint: 'copy it again in the guest, as root: cp -rL /sys/firmware/qemu_fw_cfg/by_name fw_cfg',
  });
}

/** Whether there is anything of that name, be it a link that leads nowhere. Throws `io`. */
const isThere = (io: Io, item: string): Promise<boolean> =>
  fs.lstat(resolvePath(io, item)).then(
    () => true,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return false;
      throw ioError(cause, item, 'read');
    },
  );

const isAbsent = (error: unknown): boolean =>
  error instanceof BootsealError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';

function ifAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
}

/** Returns the options and items that change nothing where the firmware measures no items of fw_cfg but the ACPI files. */
export const idleItems = (items: FwCfgItems): readonly string[] => [
  ...(items.bootMenu ? ['--boot-menu'] : []),
  ...items.files.keys(),
];

async function acpiFiles(options: FwCfgOptions, read: Read): Promise<AcpiFiles | undefined> {
  const { acpiLoader, acpiRsdp, acpiTables } = options;
  if (acpiLoader === undefined && acpiRsdp === undefined && acpiTables === undefined) return undefined;
  if (acpiLoader === undefined || acpiRsdp === undefined || acpiTables === undefined) {
    throw new BootsealError('usage', '--acpi-loader, --acpi-rsdp and --acpi-tables go together', {
      hint: 'give all three files of one QEMU, or none: then RTMR0 is not predicted',
    });
  }
  return {
    loader: await read('acpiLoader', acpiLoader, MOST_BYTES),
    rsdp: await read('acpiRsdp', acpiRsdp, MOST_BYTES),
    tables: await read('acpiTables', acpiTables, MOST_BYTES),
  };
}
