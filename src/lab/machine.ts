/**
 * @module A guest of the lab: the real QEMU, paused, its memory in a file; the software PSP, which hashes what really lies in that memory;
 * and the QMP socket in front of both. Nothing in it is encrypted.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { type Firmware, parseFirmware } from '../core/firmware/firmware.ts';
import { kernelHashTable, usableHashArea } from '../core/measurement/hash-table.ts';
import type { Profile } from '../core/measurement/profiles.ts';
import { vcpuPages } from '../core/measurement/vcpus.ts';
import { streamFile } from '../host/files.ts';
import { ioError, OTHER_TMPDIR } from '../host/io-error.ts';
import { QmpClient, QmpRefusal } from '../host/qmp/client.ts';
import { type Front, openFront } from './front.ts';
import { loadGuest, type MemoryPiece } from './load.ts';
import { PspGuest } from './psp/guest.ts';
import type { LabPlatform } from './psp/platform.ts';
import { FirmwareError } from './psp/status.ts';
import { type MachineDisk, type MachineEnd, runMachine } from './qemu.ts';
import { sevCommands } from './sev-commands.ts';

/** What is booted directly. */
export interface BootedKernel {
  readonly kernel: string;
  /** Undefined for none. */
  readonly initrd: string | undefined;
  /** Without the NUL that ends it. */
  readonly cmdline: Uint8Array;
}

/** What the lab's host starts, for which owner. */
export interface LabGuest {
  readonly platform: LabPlatform;
  readonly policy: number;
  /** Undefined for a guest without an owner's session. */
  readonly owner: { readonly godh: Uint8Array; readonly session: Uint8Array } | undefined;
  /** File of the firmware image. */
  readonly firmware: string;
  readonly boot: BootedKernel;
  /** What the host puts into the hash table, when it lies; default: what it boots. */
  readonly hashed?: BootedKernel | undefined;
  readonly profile: Profile;
  /** CPUID signature and SEV_FEATURES, as measured for SEV-ES. */
  readonly cpu: { readonly signature: number; readonly features: bigint };
  readonly vcpus: number;
  /** MiB, from 256 to 2048. */
  readonly memory: number;
  readonly disks: readonly MachineDisk[];
}

/** A guest that waits for `cont` on its QMP socket, or runs. */
export interface LabMachine {
  /** What the PSP has measured, 48 bytes. */
  readonly measurement: Uint8Array;
  /** The launch digest behind it, 32 bytes. */
  readonly digest: Uint8Array;
  /** File that takes what the guest prints. */
  readonly console: string;
  /** The guest's whole memory, in plain. */
  readonly ram: string;
  /** How it ended; rejects when QEMU failed. */
  readonly ended: Promise<MachineEnd>;
  /** Ends it, and closes its socket. Its folder is the caller's to remove. */
  stop(): Promise<void>;
}

/** Where a machine lives, and how long. */
export interface LabPlace {
  /** An empty folder; holds the guest's memory, its console and sockets. */
  readonly folder: string;
  /** Path of the QMP socket to open; short, as sockets demand. */
  readonly qmp: string;
  /** Milliseconds from now. */
  readonly deadline: number;
}

const ES = 1 << 2;
const MIB = 2 ** 20;
/** Above it RAM no longer lies in one piece from address 0 on (qemu hw/i386/pc_q35.c). */
const MAX_MEMORY = 2048;
const MIN_MEMORY = 256;

/**
 * Starts the guest up to the point where an owner is asked for the secret. Throws `usage` for a memory size it cannot do, `mismatch` when
 * the PSP refuses the launch, `tool` when QEMU does.
 */
export async function startLab(guest: LabGuest, place: LabPlace): Promise<LabMachine> {
  if (guest.memory < MIN_MEMORY || guest.memory > MAX_MEMORY) {
    throw new BootsealError('usage', `the lab's guests have ${MIN_MEMORY} to ${MAX_MEMORY} MiB, not ${guest.memory}`, {
      hint: 'rehearse with another size: write it under memory in the description',
    });
  }
  const file = (name: string) => path.join(place.folder, name);
  const stop = new AbortController();
  const ended = runMachine(await machine(guest, file), place.deadline, stop.signal);
  // It is awaited below, and by whoever has the machine.
  ended.catch(() => undefined);
  let control: QmpClient | undefined;
  let front: Front | undefined;
  const end = async () => {
    stop.abort();
    control?.close();
    await front?.close();
    await ended.catch(() => undefined);
  };
  try {
    const psp = new PspGuest(guest.platform, { write: (gpa, bytes) => writeRam(file('ram'), gpa, bytes) });
    const finish = () => {
      if (psp.state === 'launch-secret') psp.launchFinish();
    };
    control = await Promise.race([
      connect(file('control'), stop.signal, (name) => name === 'RESUME' && finish()),
      ended.then(() => Promise.reject(endedEarly())),
    ]);
    const firmware = await readFirmware(control, guest.firmware, file('firmware'));
    const tables = parseFirmware(firmware.bytes);
    const hashTable = placeHashTable(guest.hashed ?? guest.boot, tables, file('ram'));
    const vmsas = (guest.policy & ES) === 0 ? [] : vcpus(guest, tables);
    const { digest, blob } = launch(() =>
      loadGuest(psp, { policy: guest.policy, owner: guest.owner, firmware, hashTable, vmsas }),
    );
    front = await openFront({
      path: place.qmp,
      upstream: file('upstream'),
      commands: sevCommands({
        platform: guest.platform,
        guest: psp,
        secretArea: tables.secretArea?.base,
        ram: guest.memory * MIB,
        saysType: saysType(control.greeting),
      }),
      beforeCont: finish,
    });
    const asked = ended.catch((error) => (stop.signal.aborted ? ('ended' as const) : Promise.reject(error)));
    asked.catch(() => undefined);
    return { measurement: blob, digest, console: file('console'), ram: file('ram'), ended: asked, stop: end };
  } catch (error) {
    await end();
    throw error;
  }
}

function endedEarly(): BootsealError {
  return new BootsealError('tool', 'QEMU ended before its guest was loaded', {
    hint: 'look whether QEMU starts with this firmware by hand, and give it more time',
  });
}

async function machine({ boot, firmware, memory, vcpus, disks }: LabGuest, file: (name: string) => string) {
  await fsp.writeFile(file('cmdline'), Buffer.concat([boot.cmdline, Uint8Array.of(0)]), { mode: 0o600 });
  let initrd = boot.initrd;
  if (initrd === undefined) {
    initrd = file('no-initrd');
    await fsp.writeFile(initrd, '');
  }
  const backend = `memory-backend-file,id=ram,size=${memory}M,mem-path=${file('ram')},share=on`;
  const monitors = ['control', 'upstream'].flatMap((name) => ['-qmp', `unix:${file(name)},server=on,wait=off`]);
  return {
    boot: { firmware, kernel: boot.kernel, initrd, cmdlineFile: file('cmdline') },
    memory,
    disks,
    serial: [file('console')],
    more: ['-object', backend, '-machine', 'memory-backend=ram', '-smp', `${vcpus}`, '-S', ...monitors],
  };
}

const CONNECT_TRIES = 200;
const CONNECT_PAUSE = 50;

/** QEMU makes its sockets some time after it has started. */
async function connect(socket: string, stop: AbortSignal, onEvent: (name: string) => unknown): Promise<QmpClient> {
  for (let tries = 1; ; tries++) {
    try {
      return await QmpClient.connect(socket, onEvent);
    } catch (error) {
      const isOver = stop.aborted || tries === CONNECT_TRIES;
      if (!(error instanceof BootsealError) || error.kind !== 'io' || isOver) throw error;
      await new Promise((resolve) => setTimeout(resolve, CONNECT_PAUSE));
    }
  }
}

const FULL = `the folder of temporary files may be full: ${OTHER_TMPDIR}`;

/** Returns the firmware as it lies in the guest, below 4 GiB. */
async function readFirmware(control: QmpClient, image: string, copy: string): Promise<MemoryPiece> {
  const { size } = await fsp.stat(image).catch((cause: unknown) => Promise.reject(ioError(cause, image, 'read')));
  const gpa = 2 ** 32 - size;
  await control.execute('pmemsave', { val: gpa, size, filename: copy }).catch((cause: unknown) => {
    if (!(cause instanceof QmpRefusal)) throw cause;
    throw new BootsealError('io', `QEMU cannot write ${copy}: ${cause.words}`, { hint: FULL, cause });
  });
  const bytes = await fsp.readFile(copy);
  await fsp.rm(copy);
  return { gpa, bytes };
}

/** Does what QEMU does for kernel-hashes=on, and returns what then lies in memory. */
function placeHashTable({ kernel, initrd, cmdline }: BootedKernel, firmware: Firmware, ram: string): MemoryPiece {
  const hash = (feed: (hash: ReturnType<typeof createHash>) => unknown) => {
    const running = createHash('sha256');
    feed(running);
    return running.digest();
  };
  const hashFile = (name: string) => hash((running) => streamFile(name, (bytes) => void running.update(bytes)));
  const table = kernelHashTable({
    kernel: hashFile(kernel),
    initrd: initrd === undefined ? hash(() => undefined) : hashFile(initrd),
    cmdline: hash((running) => running.update(cmdline).update(Uint8Array.of(0))),
  });
  const gpa = usableHashArea(firmware).base;
  writeRam(ram, gpa, table);
  return { gpa, bytes: readRam(ram, gpa, table.length) };
}

function vcpus({ profile, cpu, vcpus }: LabGuest, { resetAddress }: Firmware): Uint8Array[] {
  const pages = vcpuPages(profile, cpu.signature, cpu.features, resetAddress);
  return Array.from({ length: vcpus }, (_, i) => (i === 0 ? pages.bsp : pages.ap()));
}

function launch<T>(load: () => T): T {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof FirmwareError)) throw error;
    throw new BootsealError('mismatch', `the PSP refuses the launch: ${error.message} (${error.words})`, {
      hint: 'the session is for another platform or policy, or was changed on its way',
    });
  }
}

function writeRam(ram: string, gpa: number, bytes: Uint8Array): void {
  const open = fs.openSync(ram, 'r+');
  try {
    fs.writeSync(open, bytes, 0, bytes.length, gpa);
  } finally {
    fs.closeSync(open);
  }
}

/** Returns bytes of the guest's memory, which lies in the file `ram`. */
export function readRam(ram: string, gpa: number, length: number): Uint8Array {
  const open = fs.openSync(ram, 'r');
  try {
    const bytes = Buffer.alloc(length);
    fs.readSync(open, bytes, 0, length, gpa);
    return bytes;
  } finally {
    fs.closeSync(open);
  }
}

/** `sev-type` came with QEMU 9.1. */
function saysType(greeting: unknown): boolean {
  const { version } = (greeting ?? {}) as { version?: { qemu?: { major?: number; minor?: number } } };
  const { major = 0, minor = 0 } = version?.qemu ?? {};
  return major > 9 || (major === 9 && minor >= 1);
}
