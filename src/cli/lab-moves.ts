/** @module The host's moves against a launch, each made for real; docs/threat-model.md says which others there are, and what nothing stops. */
import * as fs from 'node:fs/promises';
import { BootsealError } from '../core/errors.ts';
import { QmpRefusal } from '../host/qmp/client.ts';
import type { LabGuest } from '../lab/machine.ts';
import { createLabPlatform, readLabPlatform } from '../lab/psp/platform.ts';
import { OWN_COMMAND } from './inner-run.ts';
import type { Ground, Started } from './lab-ground.ts';

/** What became of a move. */
export interface Outcome {
  readonly stopped: boolean;
  /** What was seen: of what stopped it its own words. */
  readonly seen: string;
}

/** A move. */
export interface Move {
  /** What the host does. */
  readonly name: string;
  /** What has to stop it. */
  readonly by: string;
  readonly make: (ground: Ground) => Promise<Outcome>;
}

const MEASUREMENT = 'the measurement, against the record';
const SESSION = "the session's MACs: the platform refuses it";
/** A place in memory that no firmware of the kind looks at. */
const ELSEWHERE = 0x900000;

/** The moves, in the order in which they are made. */
export const MOVES: readonly Move[] = [
  measured('a tampered kernel', async (ground) => ({ boot: { ...(await boot(ground)), kernel: ground.at('evil') } })),
  measured('a tampered initrd', async (ground) => ({ boot: { ...(await boot(ground)), initrd: ground.at('evil') } })),
  measured('a tampered command line', async (ground) => ({
    boot: await bootWith(ground, (text) => `${text} init=/bin/sh`),
  })),
  measured('a swapped firmware', swappedFirmware),
  measured('a command line for a swapped disk', commandLineOfSwappedDisk),
  {
    name: 'a swapped disk, which the same key opens',
    by: 'the guest, which knows the header of its disk',
    make: swappedDisk,
  },
  {
    name: 'a swapped disk, before the launch is prepared',
    by: 'launch prepare, by the manifest',
    make: diskBeforePrepare,
  },
  measured('more vCPUs', async () => ({ vcpus: 3 })),
  measured('a guest that can be debugged, without the session', async () => ({ owner: undefined, policy: 0xe })),
  refusedStart('a policy without SEV-ES', async () => ({ policy: 0xb })),
  refusedStart('a policy that allows debugging', async () => ({ policy: 0xe })),
  refusedStart('a session that was changed on its way', changedSession),
  refusedStart('the session on another platform', anotherPlatform),
  { name: 'a forged chain: a root that signs itself', by: "AMD's roots, which are pinned", make: forgedChain },
  { name: 'an old measurement, said again', by: 'keys that are fresh for each session', make: oldMeasurement },
  { name: 'an old packet in a second launch', by: "the packet's MAC: the platform refuses it", make: oldPacket },
  { name: 'a second packet, for a clone of the guest', by: 'the record, which is spent', make: secondPacket },
  {
    name: 'the packet at another address',
    by: 'the guest, which looks only where its firmware says',
    make: otherAddress,
  },
];

const boot = (ground: Ground) => ground.boot('launch');

async function bootWith(ground: Ground, change: (cmdline: string) => string): Promise<LabGuest['boot']> {
  const right = await boot(ground);
  return { ...right, cmdline: Buffer.from(change(Buffer.from(right.cmdline).toString())) };
}

/** A move that must come out as another measurement: the owner gives nothing, and keeps the record. */
function measured(name: string, over: (ground: Ground) => Promise<Partial<LabGuest>>): Move {
  return {
    name,
    by: MEASUREMENT,
    async make(ground) {
      const started = await ground.start(await over(ground));
      const { status, error } = await ground.inject('launch', started.qmp);
      const isKept = ground.isEmpty(started) && !(await ground.isSpent('launch'));
      return { stopped: status === 1 && isKept, seen: error };
    },
  };
}

/** A move that the platform itself must refuse when the launch starts. */
function refusedStart(name: string, over: (ground: Ground) => Promise<Partial<LabGuest>>): Move {
  return {
    name,
    by: SESSION,
    async make(ground) {
      try {
        await ground.start(await over(ground));
      } catch (error) {
        if (!(error instanceof BootsealError) || error.kind !== 'mismatch') throw error;
        return { stopped: true, seen: error.message };
      }
      return { stopped: false, seen: 'the guest was started' };
    },
  };
}

/** One bit in the firmware, far from its tables. */
async function swappedFirmware(ground: Ground): Promise<Partial<LabGuest>> {
  const firmware = await fs.readFile(ground.at('firmware'));
  const at = firmware.length >> 1;
  firmware.writeUInt8(firmware.readUInt8(at) ^ 1, at);
  await fs.writeFile(ground.at('other-firmware'), firmware);
  return { firmware: ground.at('other-firmware') };
}

/** The disk is not measured: the owner gives the key, and the guest has to see that it is not for that disk. */
async function swappedDisk(ground: Ground): Promise<Outcome> {
  const launch = await ground.launch();
  const started = await ground.start({ disks: [ground.disk('swapped.img')] }, launch);
  await served(ground, launch, started);
  const said = guestSaid(await ground.runToEnd(started), /the header of \S+ is not the owner's.*/);
  return { stopped: said.isIt && !(await ground.hasKey(started)), seen: said.text };
}

/** What the guest's own program said: why it stopped, or all that it said instead. */
function guestSaid(console: string, why: RegExp): { readonly isIt: boolean; readonly text: string } {
  const said = console.split('\n').flatMap((line) => /bootseal: (.*)/.exec(line)?.[1] ?? []);
  const found = said.map((line) => why.exec(line)?.[0]).find((text) => text !== undefined);
  const all =
    said.join(', ') || `nothing; its console ended with: ${console.trimEnd().split('\n').slice(-3).join(' | ')}`;
  return { isIt: found !== undefined, text: `the guest says: ${found ?? all}` };
}

/** The words for a disk that opens with the same key. */
async function commandLineOfSwappedDisk(ground: Ground): Promise<Partial<LabGuest>> {
  const manifest = async (name: string) => JSON.parse(await fs.readFile(ground.at(`${name}.json`), 'utf8'));
  const [right, other] = [await manifest('disk.img'), await manifest('swapped.img')];
  return {
    boot: await bootWith(ground, (text) => text.replace(right.header.sha256, other.header.sha256)),
    disks: [ground.disk('swapped.img')],
  };
}

async function diskBeforePrepare(ground: Ground): Promise<Outcome> {
  const text = await fs.readFile(ground.at('launch.yaml'), 'utf8');
  await fs.writeFile(
    ground.at('swapped.yaml'),
    text.replace('image: disk.img', 'image: swapped.img\n  manifest: disk.img.json'),
  );
  const options = ['--lab', 'platform', ...ground.accept, '--out', 'swapped'];
  const { status, error } = await ground.run('launch', 'prepare', 'swapped.yaml', ...options);
  return { stopped: status === 1, seen: error };
}

async function changedSession(ground: Ground): Promise<Partial<LabGuest>> {
  const { godh, session } = await ground.owner('launch');
  const changed = Buffer.from(session);
  changed.writeUInt8(changed.readUInt8(40) ^ 1, 40);
  return { owner: { godh, session: changed } };
}

async function anotherPlatform(ground: Ground): Promise<Partial<LabGuest>> {
  await createLabPlatform(ground.at('another'));
  return { platform: await readLabPlatform(ground.at('another')) };
}

/** The lab's own platform is such a chain; nobody says --lab. */
async function forgedChain(ground: Ground): Promise<Outcome> {
  const session = ['session', 'create', '--platform', 'sev', '--policy', 'nodbg', '--firmware', 'firmware'];
  const { status, error } = await ground.run(
    ...session,
    ...ground.accept,
    '--platform-certs',
    'platform',
    '--out',
    'forged',
  );
  return { stopped: status === 1, seen: error };
}

/** The measurement of a right launch, said by the host for the next one, whatever runs there. */
async function oldMeasurement(ground: Ground): Promise<Outcome> {
  const old = await ground.start();
  const data = Buffer.from(old.machine.measurement).toString('base64');
  const launch = await ground.launch();
  const { qmp, machine } = await ground.start({ owner: undefined }, launch);
  const liar = await ground.between(qmp, new Map([['query-sev-launch-measure', () => ({ data })]]));
  const { status, error } = await ground.inject(launch, liar);
  const isKept = ground.isEmpty({ qmp, machine }) && !(await ground.isSpent(launch));
  return { stopped: status === 1 && isKept, seen: error };
}

/** What the firmware says of a MAC that is wrong, in QEMU's words (status BAD_MEASUREMENT of the SEV API). */
const BAD_MEASUREMENT = /\bfw_error=11\b/;

/** A packet that its launch has got, kept by the host for another one with the same session. */
async function oldPacket(ground: Ground): Promise<Outcome> {
  const launch = await ground.launch();
  const packet = await servedPacket(ground, launch);
  const second = await ground.start({}, launch);
  try {
    await ground.command(second.qmp, 'sev-inject-launch-secret', packet);
  } catch (error) {
    // Whatever else went wrong says nothing about the packet.
    if (!(error instanceof QmpRefusal) || !BAD_MEASUREMENT.test(error.words)) throw error;
    return { stopped: ground.isEmpty(second), seen: error.message };
  }
  return { stopped: false, seen: 'the platform has taken it' };
}

async function secondPacket(ground: Ground): Promise<Outcome> {
  const launch = await ground.launch();
  await servedPacket(ground, launch);
  const clone = await ground.start({}, launch);
  const { status, error } = await ground.inject(launch, clone.qmp);
  return { stopped: status === 2 && ground.isEmpty(clone), seen: error };
}

/** Serves a launch as it should be, and returns the packet as the host saw it. */
async function servedPacket(ground: Ground, launch: string): Promise<Readonly<Record<string, unknown>>> {
  await served(ground, launch, await ground.start({}, launch));
  const { header, secret, gpa } = JSON.parse(await fs.readFile(ground.at(`${launch}/packet.json`), 'utf8'));
  return { 'packet-header': header, secret, gpa };
}

/** The owner gives the key to a guest that is as it should be. Throws `tool` when it has not got it. */
async function served(ground: Ground, launch: string, started: Started): Promise<void> {
  const { status, error } = await ground.inject(launch, started.qmp);
  if (status === 0 && (await ground.hasKey(started))) return;
  throw new BootsealError('tool', `a launch as it should be did not get its key: ${error}`, { hint: OWN_COMMAND });
}

/** The host keeps the packet, tells the owner that it was injected, and injects it elsewhere: the MAC does not cover the address. */
async function otherAddress(ground: Ground): Promise<Outcome> {
  const launch = await ground.launch();
  const started = await ground.start({ disks: [ground.disk('disk.img')] }, launch);
  let packet: Readonly<Record<string, unknown>> = {};
  const keep = (args: Readonly<Record<string, unknown>>) => {
    packet = args;
    return {};
  };
  const { status, error } = await ground.inject(
    launch,
    await ground.between(started.qmp, new Map([['sev-inject-launch-secret', keep]])),
  );
  if (status !== 0)
    throw new BootsealError('tool', `the owner did not make the packet: ${error}`, { hint: OWN_COMMAND });
  await ground.command(started.qmp, 'sev-inject-launch-secret', { ...packet, gpa: ELSEWHERE });
  if (!(await ground.hasKey(started, ELSEWHERE))) {
    throw new BootsealError('tool', `the platform did not put the packet at 0x${ELSEWHERE.toString(16)}`, {
      hint: OWN_COMMAND,
    });
  }
  const said = guestSaid(await ground.runToEnd(started), /the secret area is empty.*/);
  return { stopped: said.isIt, seen: said.text };
}
