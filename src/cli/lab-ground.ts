/** @module Where the moves of `lab attack` are made: an owner with a prepared launch, and a host that starts what it likes. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { parseFirmware } from '../core/firmware/firmware.ts';
import { cpuModel, cpuSignature } from '../core/measurement/cpu-models.ts';
import { findProfile } from '../core/measurement/profiles.ts';
import { QmpClient } from '../host/qmp/client.ts';
import { followConsole } from '../lab/console.ts';
import { writeBaseInitrd } from '../lab/demo-guest.ts';
import type { DemoParts } from '../lab/demo-parts.ts';
import { type FrontCommands, openFront } from '../lab/front.ts';
import { type LabGuest, type LabMachine, readRam, startLab } from '../lab/machine.ts';
import { readLabPlatform } from '../lab/psp/platform.ts';
import type { MachineDisk } from '../lab/qemu.ts';
import { readSystemFile } from '../lab/system/system.ts';
import { errorOf, kindOf, OWN_COMMAND, type Run, runInside } from './inner-run.ts';
import type { Io } from './io.ts';

const CPU = 'EPYC-v4';
const VCPUS = 2;
const MEMORY = 512;
/** nodbg, noks, es, nosend. */
const POLICY = 0xf;
/** Milliseconds for one move. */
const DEADLINE = 300_000;

// Emulated on a busy machine, interrupts come late: without `no_timer_check` Linux may then take its timer for broken, and panic.
const DESCRIPTION = `platform: sev-es
policy: [nodbg, noks, nosend, es]
firmware: firmware
kernel: kernel
initrd: initrd
cmdline: console=ttyS0 panic=-1 quiet no_timer_check bootseal.disk=/dev/vda
vcpus: ${VCPUS}
cpu: ${CPU}
memory: ${MEMORY}M
disk:
  image: disk.img
secrets:
  disk-passphrase: disk.key
`;

/** What a command did. */
export interface Ran {
  readonly status: number;
  /** Why it failed, in one line; empty when it did not. */
  readonly error: string;
}

/** A guest that the host has started, and its socket. */
export interface Started {
  readonly machine: LabMachine;
  readonly qmp: string;
}

/** The owner's files, and the host's means. What is started ends with the move that started it. */
export class Ground {
  readonly folder: string;
  readonly #io: Io;
  readonly #run: Run;
  readonly #accept: readonly string[];
  readonly #running: LabMachine[] = [];
  readonly #open: { close(): Promise<void> }[] = [];
  #area = { base: 0, size: 0 };
  #count = 0;
  #clearing: Promise<void> = Promise.resolve();

  /** @param accept options for firmware that is not of the best class */
  constructor(io: Io, folder: string, run: Run, accept: readonly string[]) {
    this.folder = folder;
    this.#io = { ...io, cwd: folder };
    this.#run = run;
    this.#accept = accept;
  }

  /** Makes disks, an initrd that opens them, platform and a prepared launch, in the folder `launch`. Throws as the commands. */
  async prepare(firmware: Uint8Array, parts: DemoParts): Promise<void> {
    const { secretArea } = parseFirmware(firmware);
    if (secretArea === undefined) {
      throw new BootsealError('usage', 'the firmware has no secret area', { hint: 'give an OVMF of the AmdSev kind' });
    }
    this.#area = secretArea;
    await fs.writeFile(this.at('firmware'), firmware);
    await fs.writeFile(this.at('kernel'), readSystemFile(parts.root, parts.kernel.file));
    await writeBaseInitrd(this.at('base'), parts);
    await this.must('initrd', 'add', '--base', 'base', '--with', 'unlock', '--out', 'initrd');
    for (const name of ['evil', 'raw']) await fs.writeFile(this.at(name), `the ${name}`);
    await fs.writeFile(this.at('launch.yaml'), DESCRIPTION);
    await this.must('image', 'build', '--from', 'raw', '--new-key', 'disk.key', '--out', 'disk.img');
    await this.must('image', 'build', '--from', 'raw', '--key-file', 'disk.key', '--out', 'swapped.img');
    await this.must('lab', 'platform', '--out', 'platform');
    await this.launch('launch');
  }

  at(name: string): string {
    return path.join(this.folder, name);
  }

  /** Prepares one more launch; returns its folder. */
  async launch(name = `launch${this.#count++}`): Promise<string> {
    await this.must('launch', 'prepare', 'launch.yaml', '--lab', 'platform', ...this.#accept, '--out', name);
    return name;
  }

  /** Runs a command of the owner's. */
  async run(...words: readonly string[]): Promise<Ran> {
    const printed = { stdout: '', stderr: '' };
    const status = await runInside(this.#run, this.#io, words, printed);
    return { status, error: errorOf(printed) ?? '' };
  }

  /** Runs a command that has to succeed; throws `io` when it could not read or write a file, else `tool`. */
  async must(...words: readonly string[]): Promise<void> {
    const { status, error } = await this.run(...words);
    if (status === 0) return;
    throw new BootsealError(kindOf(status), `bootseal ${words.join(' ')} ended with ${status}: ${error}`, {
      hint: OWN_COMMAND,
    });
  }

  /** The options of a session for the firmware that was accepted. */
  get accept(): readonly string[] {
    return this.#accept;
  }

  /** Starts what the host likes; the rest is as the owner prepared it. Throws as startLab. */
  async start(over: Partial<LabGuest> = {}, launch = 'launch'): Promise<Started> {
    const folder = this.at(`machine${this.#count}`);
    const qmp = this.at(`qmp${this.#count++}`);
    await fs.mkdir(folder);
    const guest: LabGuest = {
      platform: await readLabPlatform(this.at('platform')),
      policy: POLICY,
      owner: await this.owner(launch),
      firmware: this.at('firmware'),
      boot: await this.boot(launch),
      profile: findProfile('qemu'),
      cpu: { signature: cpuSignature(cpuModel(CPU)), features: 0n },
      vcpus: VCPUS,
      memory: MEMORY,
      disks: [],
      ...over,
    };
    const machine = await startLab(guest, { folder, qmp, deadline: DEADLINE });
    this.#running.push(machine);
    return { machine, qmp };
  }

  /** What the host was given for a launch. */
  async owner(launch: string): Promise<NonNullable<LabGuest['owner']>> {
    const read = async (name: string) =>
      Buffer.from(await fs.readFile(this.at(`${launch}/${name}`), 'latin1'), 'base64');
    return { godh: await read('godh'), session: await read('session') };
  }

  /** What the host was told to boot. */
  async boot(launch: string): Promise<LabGuest['boot']> {
    const cmdline = await fs.readFile(this.at(`${launch}/cmdline`));
    return { kernel: this.at('kernel'), initrd: this.at('initrd'), cmdline };
  }

  /** The owner asks at this socket, and would give the key. The guest stays paused. */
  inject(launch: string, qmp: string): Promise<Ran> {
    const record = ['--record', `${launch}/record.json`, '--qmp', qmp];
    return this.run('launch', 'inject', ...record, '--secret', 'disk-passphrase=disk.key', '--no-resume');
  }

  /** The host puts itself between a guest and its owner, and answers some commands itself. Returns the socket. */
  async between(qmp: string, commands: FrontCommands): Promise<string> {
    const own = this.at(`between${this.#count++}`);
    this.#open.push(await openFront({ path: own, upstream: qmp, commands, beforeCont: () => undefined }));
    return own;
  }

  /** The host injects something itself. Throws as QmpClient. */
  async command(qmp: string, name: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    const client = await QmpClient.connect(qmp);
    try {
      await client.execute(name, args);
    } finally {
      client.close();
    }
  }

  /** A disk as guests are given it; of two guests at a time one can have it. */
  disk(name: string): MachineDisk {
    return { file: this.at(name), serial: 'bootseal' };
  }

  /** Lets a guest run until it powers off, and returns what it has printed. Throws `tool` when it does not end. */
  async runToEnd({ machine, qmp }: Started): Promise<string> {
    await this.command(qmp, 'cont', {});
    const lines: string[] = [];
    await followConsole(machine.console, machine.ended, (line) => lines.push(line));
    if ((await machine.ended) === 'ended') return lines.join('\n');
    throw new BootsealError('tool', `the guest did not end in ${DEADLINE / 1000} s`, {
      hint: `try again when this machine has less to do; its console ended with: ${lines.slice(-5).join(' | ')}`,
    });
  }

  /** Whether a guest has the key in memory, where its firmware looks for it or, with `gpa`, elsewhere. */
  async hasKey({ machine }: Started, gpa = this.#area.base): Promise<boolean> {
    const key = await fs.readFile(this.at('disk.key'));
    return Buffer.from(readRam(machine.ram, gpa, this.#area.size)).includes(key);
  }

  /** Whether nothing was ever put where a guest's firmware looks for secrets. */
  isEmpty({ machine }: Started): boolean {
    return readRam(machine.ram, this.#area.base, this.#area.size).every((byte) => byte === 0);
  }

  /** Whether a packet was made for a launch. */
  async isSpent(launch: string): Promise<boolean> {
    return JSON.parse(await fs.readFile(this.at(`${launch}/record.json`), 'utf8')).used !== null;
  }

  /** Ends all that runs; a signal and the end of a move may ask for it at once. */
  clear(): Promise<void> {
    this.#clearing = this.#clearing.then(() => this.#clear());
    return this.#clearing;
  }

  async #clear(): Promise<void> {
    for (const front of this.#open.splice(0)) await front.close();
    for (const machine of this.#running.splice(0)) {
      await machine.stop();
      await fs.rm(path.dirname(machine.ram), { recursive: true, force: true });
    }
  }
}
