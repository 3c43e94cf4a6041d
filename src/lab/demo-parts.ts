/** @module What a demonstration in the lab is made of: programs, firmware, kernel, found on the machine or named with what installs them. */
import * as fs from 'node:fs';
import { BootsealError } from '../core/errors.ts';
import { isInstalled, type Program } from '../host/program.ts';
import { QEMU } from './qemu.ts';
import { findKernel, findProgram, readSystemFile, type SystemKernel, type SystemPath } from './system/system.ts';

/** What was found. */
export interface DemoParts {
  /** File of an OVMF of the AmdSev kind. */
  readonly firmware: string;
  /** Where kernel, busybox and cryptsetup are. */
  readonly root: string;
  readonly kernel: SystemKernel;
  readonly busybox: SystemPath;
  readonly cryptsetup: SystemPath;
}

/** Where Debian's and Fedora's packages have it. */
const FIRMWARE = [
  '/usr/share/ovmf/OVMF.amdsev.fd',
  '/usr/share/OVMF/OVMF.amdsev.fd',
  '/usr/share/edk2/ovmf/OVMF.amdsev.fd',
];
const OVMF = { name: 'OVMF.amdsev.fd', package: 'ovmf-amdsev' };
/** What makes the disk of a folder's content. */
const BUILDERS: readonly Program[] = [
  { name: 'tar', package: 'tar' },
  ...['mke2fs', 'debugfs', 'e2fsck'].map((name) => ({ name, package: 'e2fsprogs' })),
];
/** What the guest calls busybox for, and what small builds of it leave out. */
const APPLETS = ['devmem', 'findfs', 'insmod', 'sha256sum', 'switch_root'];

/**
 * Finds everything. Throws `tool` when something is missing, with the command that installs it.
 *
 * @param root the system that the guest's files come from
 * @param firmware undefined to look where packages have it
 */
export function findDemoParts(root: string, firmware: string | undefined): DemoParts {
  return findParts('the demonstration needs', [QEMU, ...BUILDERS], root, firmware);
}

/** As {@link findDemoParts}, for disks that hold no files. */
export function findAttackParts(root: string, firmware: string | undefined): DemoParts {
  return findParts('the attacks need', [QEMU], root, firmware);
}

function findParts(who: string, needed: readonly Program[], root: string, firmware: string | undefined): DemoParts {
  const programs = needed.filter((program) => !isInstalled(program));
  const image = firmware ?? packagedFirmware();
  const busybox = findProgram(root, 'busybox');
  const isWhole = busybox !== undefined && hasApplets(root, busybox);
  const cryptsetup = findProgram(root, 'cryptsetup');
  const kernel = findKernel(root);
  const missing = [
    ...programs,
    ...(image === undefined ? [OVMF] : []),
    ...(isWhole ? [] : [{ name: 'a static busybox', package: 'busybox-static' }]),
    ...(cryptsetup === undefined ? [{ name: 'cryptsetup', package: 'cryptsetup-bin' }] : []),
    ...(kernel === undefined ? [{ name: 'a kernel with its modules', package: 'linux-image-cloud-amd64' }] : []),
  ];
  if (image === undefined || !isWhole || cryptsetup === undefined || kernel === undefined || missing.length > 0) {
    throw notThere(who, missing, root, image === undefined);
  }
  return { firmware: image, root, kernel, busybox, cryptsetup };
}

function packagedFirmware(): string | undefined {
  return FIRMWARE.find((file) => fs.existsSync(file));
}

function hasApplets(root: string, busybox: SystemPath): boolean {
  const bytes = readSystemFile(root, busybox);
  return APPLETS.every((applet) => bytes.includes(`\0${applet}\0`));
}

function notThere(who: string, missing: readonly Program[], root: string, isFirmware: boolean): BootsealError {
  const names = [...new Set(missing.map(({ name }) => name))].join(', ');
  const packages = [...new Set(missing.map((program) => program.package))].join(' ');
  const firmware = isFirmware ? '; where Debian has no ovmf-amdsev yet, give such a build with --firmware' : '';
  return new BootsealError('tool', `${who} what is not on this machine, or not in ${root}: ${names}`, {
    hint: `on Debian: apt-get install --no-install-recommends ${packages}${firmware}`,
  });
}
