/** @module QEMU's ACPI files in fw_cfg for tests, written from its hw/acpi/bios-linker-loader.c. */
import type { AcpiFiles } from '../src/core/rtmr/direct-boot.ts';
import { join, pad, u32 } from './firmware-image.ts';

const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));

/** One command of etc/table-loader; 1 has a file loaded. */
export const loaderCommand = (command: number, file = '') => pad(join(u32(command), pad(ascii(file), 56)), 128);

/** Commands as QEMU writes them: the files in the order of their loading, some work on them, and a page filled up. */
export const tableLoader = (...files: readonly string[]) =>
  pad(
    join(...files.map((file) => loaderCommand(1, file)), loaderCommand(2, 'etc/acpi/tables'), loaderCommand(3)),
    4096,
  );

/** The three files of a guest; `etc/acpi/rsdp` is loaded first. */
export const acpiFiles = (over: Partial<AcpiFiles> = {}): AcpiFiles => ({
  loader: tableLoader('etc/acpi/rsdp', 'etc/acpi/tables'),
  rsdp: join(ascii('RSD PTR '), new Uint8Array(12)),
  tables: ascii('DSDT and others'),
  ...over,
});
