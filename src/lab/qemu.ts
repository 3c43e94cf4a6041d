/**
 * @module QEMU under plain emulation: a machine whose console goes to a file and that is gone when its time is over or nobody
 * wants it any more. Emulation is chosen by name: a /dev/kvm that is there may still be useless.
 */
import { BootsealError } from '../core/errors.ts';
import { startProgram } from '../host/program.ts';

/** A disk of a machine: a raw file. */
export interface MachineDisk {
  readonly file: string;
  /** Its serial number, by which the guest finds it (/sys/block/vdX/serial): at most 20 bytes. */
  readonly serial: string;
}

/** Bytes that stand in memory before the machine starts. */
export interface LoadedBytes {
  readonly file: string;
  readonly address: number;
}

/** How a machine starts: by QEMU's own firmware, or by one that is given and finds what it boots in fw_cfg under etc/boot/. */
export type MachineBoot =
  /** With nothing but its disks. */
  | Readonly<Record<string, never>>
  | { readonly kernel: string; readonly initrd: string; readonly cmdline: string }
  | {
      readonly firmware: string;
      readonly kernel: string;
      readonly initrd: string;
      /** The command line with the NUL that ends it. */
      readonly cmdlineFile: string;
    };

/** A machine. */
export interface Machine {
  readonly boot: MachineBoot;
  /** MiB. */
  readonly memory: number;
  readonly disks: readonly MachineDisk[];
  readonly loaded?: readonly LoadedBytes[];
  /** Files that take what the guest prints on ttyS0, ttyS1 and so on. */
  readonly serial: readonly string[];
  /** Arguments of QEMU's for what is not told above. */
  readonly more?: readonly string[];
}

/** How a machine ended: by itself (power off, reset), or because its time was over. */
export type MachineEnd = 'ended' | 'deadline';

/** The program. */
export const QEMU = { name: 'qemu-system-x86_64', package: 'qemu-system-x86' };

/** Returns QEMU's arguments. Throws `usage` for a name of a file that QEMU would read as an option. */
export function qemuArguments({ boot, memory, disks, loaded = [], serial, more = [] }: Machine): readonly string[] {
  return [
    ...['-accel', 'tcg', '-machine', 'q35', '-cpu', 'max', '-m', `${memory}`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...serial.flatMap((file) => ['-serial', `file:${plain(file)}`]),
    ...bootArguments(boot),
    ...disks.flatMap(({ file, serial: name }, i) => [
      ...['-drive', `file=${plain(file)},format=raw,if=none,id=disk${i}`],
      ...['-device', `virtio-blk-pci,drive=disk${i},serial=${plain(name)}`],
    ]),
    ...loaded.flatMap(({ file, address }) => ['-device', `loader,file=${plain(file)},addr=${address},force-raw=on`]),
    ...more,
  ];
}

function bootArguments(boot: MachineBoot): readonly string[] {
  if (!('kernel' in boot)) return [];
  if (!('firmware' in boot)) return ['-kernel', boot.kernel, '-initrd', boot.initrd, '-append', boot.cmdline];
  // As named files the firmware sees the kernel as it is; -kernel of QEMU before 10 changes it first.
  const named = { kernel: boot.kernel, initrd: boot.initrd, cmdline: boot.cmdlineFile };
  return [
    ...['-bios', boot.firmware],
    ...Object.entries(named).flatMap(([name, file]) => ['-fw_cfg', `name=etc/boot/${name},file=${plain(file)}`]),
  ];
}

/** A comma would begin another property. */
function plain(value: string): string {
  if (value.includes(',')) {
    throw new BootsealError('usage', `QEMU cannot take a name with a comma: ${value}`, {
      hint: 'rename the file, or the folder that it is in',
    });
  }
  return value;
}

/**
 * Runs a machine to its end. It is killed at the deadline, when `stop` is aborted and when this process ends.
 *
 * @param deadline milliseconds from now
 * @throws `tool` when QEMU is missing or fails
 */
export async function runMachine(machine: Machine, deadline: number, stop?: AbortSignal): Promise<MachineEnd> {
  stop?.throwIfAborted();
  const qemu = startProgram(QEMU, { args: qemuArguments(machine) });
  qemu.stdout.resume();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    qemu.kill();
  }, deadline);
  stop?.addEventListener('abort', qemu.kill);
  try {
    await qemu.ended;
    stop?.throwIfAborted();
    return 'ended';
  } catch (error) {
    stop?.throwIfAborted();
    if (isLate) return 'deadline';
    throw error;
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', qemu.kill);
  }
}
