/**
 * Whole launches of SEV and SEV-ES guests against libvirt's virt-qemu-sev-validate: each side must predict the same digest,
 * accept the other's measurement, refuse a changed one, and make of the same secrets a packet that the other opens.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { computeLaunchMeasurement, parseLaunchMeasurement } from '../../src/core/measurement/launch-measurement.ts';
import { openPacket } from '../../src/core/secret/packet-cipher.ts';
import { parseSecretTable } from '../../src/core/secret/table.ts';
import { printRecord } from '../../src/core/session/record.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { launchRecord } from '../launch-record.ts';
import { describeWith } from '../needs.ts';
import { askPeer, LIBVIRT_PEER, type PeerAnswer, type PeerCase, runPeer } from './libvirt-peer.ts';
import { Random, type RandomLaunch, randomLaunch, seedOfRun } from './random-launch.ts';

const COUNT = 24;
const SEED = seedOfRun();

/** A launch with what bootseal makes of it. */
interface Sealed {
  readonly launch: RandomLaunch;
  readonly digest: string;
  /** 48 bytes. */
  readonly measurement: Buffer;
  readonly header: Buffer;
  readonly payload: Buffer;
  /** Folder of record.json and tk. */
  readonly session: string;
}

const { folder, remove } = scratch();
afterAll(remove);

function measureArguments({ platform, firmware, kernel, initrd, cmdline, vcpus, cpu }: RandomLaunch): string[] {
  const given = {
    firmware,
    kernel,
    initrd,
    cmdline,
    ...(platform === 'sev'
      ? {}
      : {
          vcpus,
          'cpu-family': cpu.family,
          'cpu-model': cpu.model,
          'cpu-stepping': cpu.stepping,
          // The peer's CPU state is that of hosts before KVM_SEV_INIT2.
          profile: 'qemu-legacy',
        }),
  };
  return Object.entries(given).flatMap(([name, value]) => (value === null ? [] : [`--${name}`, String(value)]));
}

async function succeed(args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await bootseal(args, folder);
  expect(status, `bootseal ${args.join(' ')}\n${stderr}`).toBe(0);
  return stdout.trim();
}

function apiArguments({ api }: RandomLaunch): string[] {
  return ['--api-major', `${api.major}`, '--api-minor', `${api.minor}`, '--build-id', `${api.build}`];
}

/** Goes the owner's way with bootseal's commands, up to a sealed packet. */
async function seal(launch: RandomLaunch, index: number): Promise<Sealed> {
  const { platform, policy, api, tek, tik, nonce } = launch;
  const digest = await succeed(['measure', platform, ...measureArguments(launch)]);
  const measure = computeLaunchMeasurement({ tik, api, policy, digest: Buffer.from(digest, 'hex'), nonce });
  const measurement = Buffer.concat([measure, nonce]);
  const session = path.join(folder, `${platform}-${index}-session`);
  fs.mkdirSync(session);
  fs.writeFileSync(
    path.join(session, 'record.json'),
    printRecord(launchRecord({ platform, policy, expected: [{ digest }] })),
  );
  fs.writeFileSync(path.join(session, 'tk'), Buffer.concat([tek, tik]));
  const out = path.join(session, 'packet');
  const secrets = launch.secrets.flatMap(({ guid, file }) => ['--secret', `${guid}=${file}`]);
  const record = ['--record', path.join(session, 'record.json'), '--measurement', measurement.toString('base64')];
  await succeed([
    'secret',
    'build',
    '--insecure-allow-debug',
    ...record,
    ...apiArguments(launch),
    ...secrets,
    '--out',
    out,
  ]);
  const read = (name: string) => Buffer.from(fs.readFileSync(path.join(out, name), 'latin1'), 'base64');
  return { launch, digest, measurement, header: read('header.b64'), payload: read('secret.b64'), session };
}

function flipBit(bytes: Uint8Array, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return changed;
}

function peerCase({ launch, measurement, header, session }: Sealed, changedBit: number): PeerCase {
  const { firmware, kernel, initrd, cmdline, policy, api, vcpus, cpu } = launch;
  return {
    ...{ firmware, kernel, initrd, cmdline, policy, api, vcpus, cpu },
    tk: path.join(session, 'tk'),
    measurement: measurement.toString('base64'),
    changed: flipBit(measurement, changedBit).toString('base64'),
    secrets: launch.secrets.map(({ guid, file }) => [guid, file]),
    iv: header.subarray(4, 20).toString('hex'),
  };
}

describeWith(LIBVIRT_PEER, `virt-qemu-sev-validate (BOOTSEAL_SEED=${SEED})`, () => {
  describe.each(['sev', 'sev-es'] as const)('%s', (platform) => {
    const random = new Random(platform === 'sev' ? SEED : SEED + 1);
    const sealed: Sealed[] = [];
    const cases: PeerCase[] = [];
    let answers: readonly PeerAnswer[] = [];

    beforeAll(async () => {
      for (let i = 0; i < COUNT; i++) {
        const ours = await seal(randomLaunch(random, platform, i, folder), i);
        sealed.push(ours);
        cases.push(peerCase(ours, random.below(8 * 48)));
      }
      answers = askPeer(cases);
    }, 120_000);

    function both(index: number): { ours: Sealed; theirs: PeerAnswer; asked: PeerCase } {
      const [ours, theirs, asked] = [sealed[index], answers[index], cases[index]];
      if (ours === undefined || theirs === undefined || asked === undefined) throw new Error('no such launch');
      return { ours, theirs, asked };
    }

    const indices = Array.from({ length: COUNT }, (_, i) => i);

    it.each(indices)('launch %i: predicts the same digest', (i) => {
      const { ours, theirs } = both(i);
      expect(theirs.digest).toBe(ours.digest);
    });

    it.each(indices)('launch %i: the peer accepts our measurement and no other', (i) => {
      const { theirs } = both(i);
      expect({ right: theirs.acceptsRight, changed: theirs.acceptsChanged }).toEqual({ right: true, changed: false });
    });

    it.each(indices)("launch %i: we accept the peer's measurement and no other", async (i) => {
      const { ours, theirs } = both(i);
      const blob = Buffer.concat([Buffer.from(theirs.measure, 'hex'), ours.launch.nonce]);
      const verify = (bytes: Buffer) => {
        const record = ['--record', path.join(ours.session, 'record.json')];
        const reported = ['--measurement', bytes.toString('base64'), ...apiArguments(ours.launch)];
        return bootseal(['verify', 'launch', ...record, ...reported], folder);
      };
      expect(await verify(blob)).toMatchObject({ status: 0 });
      expect(await verify(flipBit(blob, new Random(i).below(8 * 48)))).toMatchObject({ status: 1, stdout: '' });
    });

    it.each(indices)("launch %i: we open the peer's packet", (i) => {
      const { ours, theirs } = both(i);
      const header = Buffer.from(theirs.packet.header, 'base64');
      const payload = Buffer.from(theirs.packet.payload, 'base64');
      const { measure } = parseLaunchMeasurement(ours.measurement);
      const table = parseSecretTable(openPacket({ header, payload }, ours.launch, measure));
      expect(table.entries.map(({ guid, value }) => [guid, Buffer.from(value).toString('hex')])).toEqual(
        ours.launch.secrets.map(({ guid, value }) => [guid, value.toString('hex')]),
      );
    });

    // The peer cannot open packets; that it makes the very same bytes from the same secrets and IV says more.
    it.each(indices)('launch %i: our packet is byte for byte the one that the peer makes', (i) => {
      const { ours, theirs } = both(i);
      expect(theirs.packetWithIv).toEqual({
        header: ours.header.toString('base64'),
        payload: ours.payload.toString('base64'),
      });
    });

    it('says OK on its own command line, and ERROR with status 1 for a changed measurement', () => {
      const { ours, asked } = both(0);
      const { launch } = ours;
      const cpu = {
        'num-cpus': launch.vcpus,
        'cpu-family': launch.cpu.family,
        'cpu-model': launch.cpu.model,
        'cpu-stepping': launch.cpu.stepping,
      };
      const given = {
        ...{ firmware: launch.firmware, kernel: launch.kernel, initrd: launch.initrd, cmdline: launch.cmdline },
        ...(platform === 'sev' ? {} : cpu),
        ...{ tk: asked.tk, policy: launch.policy },
        ...{ 'api-major': launch.api.major, 'api-minor': launch.api.minor, 'build-id': launch.api.build },
      };
      const args = Object.entries(given).flatMap(([name, value]) => (value === null ? [] : [`--${name}=${value}`]));
      expect(runPeer([...args, `--measurement=${asked.measurement}`])).toEqual({
        status: 0,
        output: 'OK: Looks good to me\n',
      });
      expect(runPeer([...args, `--measurement=${asked.changed}`])).toMatchObject({ status: 1 });
    });
  });
});
