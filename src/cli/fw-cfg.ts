/** @module What QEMU hands to the firmware by fw_cfg: out of a copy of what a guest shows of it, or the ACPI files alone. */
import * as path from 'node:path';
import type { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { AcpiFiles } from '../core/rtmr/direct-boot.ts';
import { type FwCfgItems, MEASURED_FILES } from '../core/rtmr/fw-cfg.ts';

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

/** The same for what is looked at and enters nothing. */
type Look = (file: string, limit: number) => Promise<Uint8Array>;

/** What of fw_cfg is known. */
interface Known {
  readonly acpi: AcpiFiles | undefined;
  readonly fwCfg: FwCfgItems | undefined;
}

/** Far more than QEMU has in one; bytes. */
const MOST_BYTES = 2 ** 24;

/** Reads what the options name. Throws `usage` for options that do not go together, `format` for a copy that is not whole, `io`. */
export async function fwCfgOf(options: FwCfgOptions, read: Read, look: Look): Promise<Known> {
  const { fwCfg, bootMenu, acpiLoader, acpiRsdp, acpiTables } = options;
  if (fwCfg === undefined) {
    if (bootMenu === undefined) return { acpi: await acpiFiles(options, read), fwCfg: undefined };
    throw new BootsealError('usage', '--boot-menu goes with --fw-cfg', {
      hint: 'give the other items of fw_cfg as well, or leave it out',
    });
  }
  if ((acpiLoader ?? acpiRsdp ?? acpiTables) !== undefined) {
    throw new BootsealError('usage', '--fw-cfg and the ACPI files exclude each other', {
      hint: 'the folder has them: leave --acpi-loader, --acpi-rsdp and --acpi-tables out',
    });
  }
  return readFolder(fwCfg, bootMenu === true, read, look);
}

/** An item that is not in the folder is one that the host has not; the ACPI files have to be there. */
async function readFolder(folder: string, bootMenu: boolean, read: Read, look: Look): Promise<Known> {
  const readItem = async (role: string, name: string) => {
    const bytes = await read(role, path.join(folder, name, 'raw'), MOST_BYTES);
    await checkWhole(path.join(folder, name), bytes, look);
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
    else await checkAbsent(path.join(folder, name), look);
  }
  return { acpi, fwCfg: { files, bootMenu } };
}

/** Linux says the size of an item beside it. */
async function checkWhole(item: string, { length }: Uint8Array, look: Look): Promise<void> {
  const text = await look(path.join(item, 'size'), 64).catch(ifAbsent);
  if (text === undefined) return;
  const size = Buffer.from(text).toString('latin1').trim();
  if (size === `${length}`) return;
  const said = /^[0-9]{1,20}$/.test(size) ? `its size is ${size}` : 'its size is no number';
  throw notWhole(`${item}: ${length} bytes are there, and ${said}`);
}

/** Who may not read an item copies its folder without it. */
async function checkAbsent(item: string, look: Look): Promise<void> {
  if (await isThere(item, look)) throw notWhole(`${item}: the item is there, and its contents (raw) are not`);
}

function notWhole(message: string): BootsealError {
  return new BootsealError('format', message, {
    hint: 'copy it again in the guest, as root: cp -r /sys/firmware/qemu_fw_cfg/by_name',
  });
}

/** A folder cannot be read as a file, which is told apart from nothing. */
const isThere = (item: string, look: Look): Promise<boolean> =>
  look(item, 1).then(
    () => true,
    (error: unknown) => !isAbsent(error),
  );

const isAbsent = (error: unknown): boolean =>
  error instanceof BootsealError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';

function ifAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
}

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
