/**
 * @module QEMU's etc/table-loader: the commands by which firmware installs the ACPI tables that QEMU made (hw/acpi/bios-linker-loader.c).
 * OVMF measures the commands, and then each file that they have it load, as QEMU gives it (edk2 OvmfPkg/AcpiPlatformDxe/QemuFwCfgAcpi.c).
 */
import { bytes, layout, reserved, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';

const Command = layout('table loader command', { command: u32le, file: bytes(56), rest: reserved(68) });

const ALLOCATE = 1;

/** QEMU fills up to whole pages with command 0. */
const LAST_COMMAND = 4;

/** Returns the files that the commands load, in their order; throws `format` for what are no such commands. */
export function loadedFiles(commands: Uint8Array): readonly string[] {
  if (commands.length === 0 || commands.length % Command.size !== 0) {
    throw refusal(`${commands.length} bytes are not made of commands of ${Command.size}`);
  }
  const files: string[] = [];
  for (let at = 0; at < commands.length; at += Command.size) {
    const { command, file } = Command.unpack(commands, at);
    if (command > LAST_COMMAND) throw refusal(`command ${command} at byte ${at} is not known`);
    if (command === ALLOCATE) files.push(nameIn(file));
  }
  if (files.length === 0) throw refusal('it loads no file');
  return files;
}

function nameIn(field: Uint8Array): string {
  const end = field.indexOf(0);
  const name = field.subarray(0, end);
  if (end < 1 || name.some((byte) => byte < 0x21 || byte > 0x7e)) throw refusal('the name of a file is none');
  return String.fromCharCode(...name);
}

function refusal(message: string): BootsealError {
  return new BootsealError('format', `etc/table-loader: ${message}`, {
    hint: 'give the file that QEMU serves under this name: in a guest, /sys/firmware/qemu_fw_cfg/by_name/etc/table-loader/raw',
  });
}
