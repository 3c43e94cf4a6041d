/** @module `bootseal lab up`: a whole launch on this machine: prepared, started, verified, injected, and its console shown. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { Command } from 'commander';
import { base64ToBytes, bytesToBase64 } from '../core/base64.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import type { LaunchDescription } from '../core/launch/description.ts';
import { cpuModel, cpuSignature } from '../core/measurement/cpu-models.ts';
import { findProfile } from '../core/measurement/profiles.ts';
import { allowsDebugging } from '../core/session/policy.ts';
import { readSmallFile } from '../host/files.ts';
import { qmpHost } from '../host/qmp/launch-host.ts';
import { readRecord } from '../host/record.ts';
import { withSignals } from '../host/signals.ts';
import { checkSocketPath } from '../host/socket-path.ts';
import { followConsole } from '../lab/console.ts';
import { type LabGuest, type LabMachine, startLab } from '../lab/machine.ts';
import { openLabPlatform, readMadePlatform } from '../lab/psp/platform.ts';
import { injectSecrets } from './inject-secrets.ts';
import { type Io, remark, resolvePath } from './io.ts';
import { type ReadDescription, readDescription } from './launch-description.ts';
import { prepareLaunch } from './launch-prepare.ts';
import { parseUnsigned } from './numbers.ts';
import { parseSecretArgument } from './secret-argument.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

interface Options {
  readonly lab?: string;
  readonly launch?: string;
  readonly qmp?: string;
  readonly deadline: string;
  readonly acceptFirmware?: string;
  readonly json?: boolean;
}

/** Returns the command. */
export function labUpCommand(io: Io): Command {
  return new Command('up')
    .summary('start a described guest in the lab, verify it, give it its secrets and show its console')
    .description(
      'Start a described guest in the lab, verify it, give it its secrets and show its console, until it powers off.',
    )
    .argument('<launch.yaml>', 'description of the launch: docs/launch.md')
    .option('--lab <folder>', 'platform of the lab (default: one that is thrown away)')
    .option('--launch <folder>', 'start the launch that was prepared there, and wait for `launch inject`')
    .option('--qmp <socket>', 'where to make the QMP socket')
    .option('--deadline <seconds>', 'end the guest then', '300')
    .option('--accept-firmware <class>', 'accept firmware of exactly this class of `firmware lint`')
    .option('--json', 'print events, one JSON object a line')
    .addHelpText('after', HELP)
    .action(async (file: string, options: Options) => labUp(io, file, options));
}

const HELP = `
In a lab the guest's memory is NOT encrypted: give it nothing that is a secret elsewhere.

Examples:
  bootseal lab up launch.yaml --accept-firmware enforcing-some-unverified
  bootseal lab platform --out lab && bootseal launch prepare launch.yaml --lab lab --out launch
  bootseal lab up launch.yaml --lab lab --launch launch --qmp /tmp/qmp.sock &
  bootseal launch inject --record launch/record.json --qmp /tmp/qmp.sock --secret disk-passphrase=passphrase`;

/** The most that godh and session have in base64; bytes. */
const LIMIT = 8192;
const MAX_DEADLINE = 86_400;

async function labUp(io: Io, file: string, options: Options): Promise<void> {
  const deadline = 1000 * parseUnsigned(options.deadline, '--deadline', MAX_DEADLINE);
  if (deadline === 0) {
    throw new BootsealError('usage', '--deadline 0 gives the guest no time', { hint: 'give it at least a second' });
  }
  if (options.launch !== undefined && options.lab === undefined) {
    throw new BootsealError(
      'usage',
      '--launch goes with --lab: only the platform that it was prepared for can start it',
      { hint: 'give --lab the folder that launch prepare was given' },
    );
  }
  if (options.qmp !== undefined) checkSocketPath(resolvePath(io, options.qmp));
  await withSignals((stop) =>
    withTemporaryFolder('bootseal-lab-', (folder) => up(io, file, options, { folder, deadline, stop })),
  );
}

interface Place {
  readonly folder: string;
  readonly deadline: number;
  readonly stop: AbortSignal;
}

async function up(io: Io, file: string, options: Options, { folder, deadline, stop }: Place): Promise<void> {
  const say = speaker(io, options.json === true);
  const lab = options.lab === undefined ? path.join(folder, 'platform') : resolvePath(io, options.lab);
  // Another platform than the one that it was prepared for cannot start a launch.
  const platform = await (options.launch === undefined ? openLabPlatform(lab) : readMadePlatform(lab));
  const { read, launch } = await preparedLaunch(io, file, options, lab, folder);
  const record = path.join(launch, 'record.json');
  const guest = { ...(await guestOf(read, launch)), platform };
  const place = { folder: path.join(folder, 'machine'), qmp: qmpPath(io, options, folder), deadline };
  await fs.mkdir(place.folder);
  const machine = await startLab(guest, place);
  stop.addEventListener('abort', () => void machine.stop());
  try {
    if (stop.aborted) return;
    say('paused', `a guest is loaded and waits, ${UNPROTECTED}`, {
      digest: bytesToHex(machine.digest),
      measurement: bytesToBase64(machine.measurement),
      qmp: place.qmp,
      encrypted: false,
    });
    if (options.launch === undefined) await inject(read, record, place.qmp, say);
    else
      say('waiting', `for: bootseal launch inject --record ${record} --qmp ${place.qmp} --secret NAME=FILE`, {
        record,
      });
    await show(io, machine, say, options.json === true);
    const how = await machine.ended;
    if (stop.aborted) return;
    if (how === 'deadline') {
      throw new BootsealError('tool', `the guest did not end in ${deadline / 1000} s: it was killed`, {
        hint: 'look what its console said last; --deadline gives it more time',
      });
    }
    say('ended', 'the guest has powered off; its memory is removed', {});
  } finally {
    await machine.stop();
  }
}

const UNPROTECTED = 'its memory NOT encrypted';

type Say = (event: string, text: string, facts: Readonly<Record<string, unknown>>) => void;

/** Events go to people on standard error, beside the console, and to programs on standard output, in it. */
function speaker(io: Io, json: boolean): Say {
  return (event, text, facts) => {
    if (json) io.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
    else remark(io, 'note', `lab: ${event}: ${text}`);
  };
}

async function preparedLaunch(
  io: Io,
  file: string,
  { launch, acceptFirmware }: Options,
  lab: string,
  folder: string,
): Promise<{ readonly read: ReadDescription; readonly launch: string }> {
  if (launch !== undefined) return { read: await readDescription(io, file), launch: resolvePath(io, launch) };
  const { policy, policyText } = (await readDescription(io, file)).description;
  if (allowsDebugging(policy)) {
    throw new BootsealError('usage', `policy ${policyText} lets the host read and change the guest's memory`, {
      hint: 'add nodbg to the policy of the description; or prepare the launch yourself, and give --launch',
    });
  }
  const out = path.join(folder, 'launch');
  const { read } = await prepareLaunch(io, file, {
    out,
    lab,
    ...(acceptFirmware === undefined ? {} : { acceptFirmware }),
  });
  return { read, launch: out };
}

async function guestOf({ description, io }: ReadDescription, launch: string): Promise<Omit<LabGuest, 'platform'>> {
  const { policy, firmware, kernel, initrd, vcpus, memory, cpu, profile, vmsaFeatures, disk } = description;
  if (disk !== undefined && disk.format !== 'raw') {
    throw new BootsealError('usage', "the lab's guests take raw disks only", {
      hint: 'build the image without --format qcow2 for the rehearsal',
    });
  }
  // What cannot be read back was changed since it was prepared.
  await readRecord(path.join(launch, 'record.json'));
  const text = async (name: string) =>
    Buffer.from(await readSmallFile(path.join(launch, name), LIMIT)).toString('latin1');
  const file = (name: string) => resolvePath(io, name);
  return {
    policy,
    owner: { godh: base64ToBytes((await text('godh')).trim()), session: base64ToBytes((await text('session')).trim()) },
    firmware: file(firmware),
    boot: {
      kernel: file(kernel),
      initrd: initrd === undefined ? undefined : file(initrd),
      cmdline: Buffer.from(await readSmallFile(path.join(launch, 'cmdline'), LIMIT)),
    },
    profile: findProfile(profile),
    cpu: { signature: cpu === undefined ? 0 : cpuSignature(cpuModel(cpu)), features: BigInt(vmsaFeatures ?? 0) },
    vcpus,
    memory,
    disks: disk === undefined ? [] : [{ file: file(disk.image), serial: 'bootseal' }],
  };
}

function qmpPath(io: Io, { qmp }: Options, folder: string): string {
  return qmp === undefined ? path.join(folder, 'qmp.sock') : resolvePath(io, qmp);
}

async function inject({ description, io }: ReadDescription, record: string, qmp: string, say: Say): Promise<void> {
  const secret = secretsOf(description);
  if (secret.length === 0) {
    throw new BootsealError('usage', 'the description has no secrets: nothing could be brought in', {
      hint: 'add secrets, or give --launch and start the guest over QMP yourself',
    });
  }
  const { secrets } = await injectSecrets(io, () => qmpHost(qmp), { record, secret, resume: true });
  say('injected', `the launch is the expected one; the secrets are in the guest's memory, which is NOT encrypted`, {
    secrets,
  });
}

function secretsOf({ secrets }: LaunchDescription) {
  return secrets.map(({ name, file }) => parseSecretArgument(`${name}=${file}`));
}

async function show(io: Io, machine: LabMachine, say: Say, json: boolean): Promise<void> {
  await followConsole(machine.console, machine.ended, (line) => {
    if (json) say('console', '', { line });
    else io.stdout.write(`${line}\n`);
  });
}
