/**
 * @module A measured boot without the hardware: Debian's OVMF for SEV checks kernel, initrd and command line against the hash
 * table, and finds the secret table, as after a launch; both stand in memory before the machine starts.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { kernelHashTable } from '../../src/core/measurement/hash-table.ts';
import { type MachineDisk, type MachineEnd, runMachine } from '../../src/lab/qemu.ts';
import { fixture } from '../fixtures.ts';
import { kernelFile } from './guest-tree.ts';

/** Areas of this build of OVMF, as `firmware inspect` shows them. */
const SECRET_AREA = 0x810000;
const HASH_AREA = 0x810c00;

/** The word of the command line that says where the secrets are. */
export const SECRET_WORD = 'bootseal.secret=0x810000,0xc00';

/** The line that a report begins with. */
export const REPORT = '-- report --';

/** A guest as its owner wants it. */
export interface MeasuredGuest {
  /** File of the initrd; the kernel is that of the guests' tree. */
  readonly initrd: string;
  readonly cmdline: string;
  /** What is injected: a secret table. */
  readonly secrets: Uint8Array;
  readonly disks: readonly MachineDisk[];
  /** What the host adds: arguments of QEMU's. */
  readonly more?: readonly string[];
}

/** What came of it. */
export interface MeasuredRun {
  readonly end: MachineEnd;
  /** What stood on the console, ttyS0. */
  readonly console: string;
  /** Lines that were written to ttyS1, raw, after {@link REPORT}. */
  readonly report: readonly string[];
}

/** Runs the guest to its end. */
export async function runMeasured(folder: string, guest: MeasuredGuest, deadline: number): Promise<MeasuredRun> {
  const at = (name: string) => path.join(folder, name);
  const cmdline = Buffer.from(`${guest.cmdline}\0`);
  const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());
  const hashes = kernelHashTable({
    cmdline: sha256(cmdline),
    initrd: sha256(fs.readFileSync(guest.initrd)),
    kernel: sha256(fs.readFileSync(kernelFile())),
  });
  const files = { firmware: fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'), cmdline, hashes, secrets: guest.secrets };
  for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(at(name), bytes);
  const end = await runMachine(
    {
      boot: { firmware: at('firmware'), kernel: kernelFile(), initrd: guest.initrd, cmdlineFile: at('cmdline') },
      memory: 1024,
      disks: guest.disks,
      loaded: [
        { file: at('secrets'), address: SECRET_AREA },
        { file: at('hashes'), address: HASH_AREA },
      ],
      serial: [at('console'), at('report')],
      more: guest.more ?? [],
    },
    deadline,
  );
  // Firmware and kernel write to all consoles; what follows this line is the guest's.
  const [, own = ''] = fs.readFileSync(at('report'), 'latin1').split(`${REPORT}\n`);
  const report = own.split('\n').filter(Boolean);
  return { end, console: fs.readFileSync(at('console'), 'latin1'), report };
}
