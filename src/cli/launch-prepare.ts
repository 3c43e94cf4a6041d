/** @module `bootseal launch prepare`: one description becomes everything that owner and host need for one launch. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { FIRMWARE_CLASSES, lintFirmware } from '../core/firmware/lint.ts';
import type { LaunchDescription } from '../core/launch/description.ts';
import { domainXml } from '../core/launch/domain-xml.ts';
import { type HostFiles, hostNames } from '../core/launch/host-guest.ts';
import { qemuLaunchArguments } from '../core/launch/qemu-arguments.ts';
import { secretRoom } from '../core/secret/limits.ts';
import { secretName } from '../core/secret/names.ts';
import { TableHead } from '../core/secret/table.ts';
import { type LaunchRecord, printConfiguration } from '../core/session/record.ts';
import { ioError } from '../host/io-error.ts';
import { type NewFile, writeNewFolder } from '../host/new-folder.ts';
import { MAX_SOCKET_PATH, socketPathSize } from '../host/socket-path.ts';
import { type Io, printableLines, printResult, remark, resolvePath } from './io.ts';
import { describedCmdline, type ReadDescription, readDescription, sessionOptions } from './launch-description.ts';
import { outFolder } from './out-folder.ts';
import { parseSecretArgument } from './secret-argument.ts';
import { type MadeSession, makeSession } from './session-create.ts';

/** What commander makes of the options. */
export interface PrepareOptions {
  readonly out: string;
  readonly lab?: string;
  readonly acceptFirmware?: string;
  readonly insecureAllowDebug?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Returns the command. */
export function launchPrepareCommand(io: Io): Command {
  return new Command('prepare')
    .summary('make everything that owner and host need for one launch')
    .description('Make session, record, QEMU arguments and libvirt domain of one launch, from one description.')
    .argument('<launch.yaml>', 'description of the launch: docs/launch.md has every key')
    .requiredOption('--out <folder>', 'new folder for the launch')
    .option('--lab <folder>', "rehearse with the platform of a lab instead: the guest's memory is NOT encrypted")
    .option('--accept-firmware <class>', 'accept firmware of exactly this class of `firmware lint`')
    .option('--insecure-allow-debug', 'accept a policy without nodbg: the host can then read the guest')
    .option('--force', 'replace the folder of a launch that was not used')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (file: string, options: PrepareOptions) => {
      await prepareLaunch(io, file, options, ({ record, cmdline, secrets }) => {
        printResult(
          io,
          options.json === true ? json(options, record, cmdline) : text(options, record, cmdline, secrets),
        );
      });
    });
}

const HELP = `
The folder holds record.json and tk for you alone; godh, session, cmdline, qemu.args and domain.xml for the host;
and firmware.json, what lint says of the firmware.

Examples:
  bootseal launch prepare launch.yaml --out launch
  xargs -d '\\n' -a launch/qemu.args qemu-system-x86_64      # on the host: starts the guest, paused
  bootseal launch inject --record launch/record.json --qmp launch/qmp.sock --secret disk-passphrase=passphrase`;

/** What came of it. */
export interface PreparedLaunch {
  readonly read: ReadDescription;
  readonly record: LaunchRecord;
  readonly cmdline: string;
  /** As `launch inject` takes them. */
  readonly secrets: readonly string[];
}

/**
 * Reads the description and writes the folder. Throws as session create, `format` for a description that is none, and what `announce`
 * throws, which is told what came of it while the folder can still be taken back.
 */
export async function prepareLaunch(
  io: Io,
  file: string,
  options: PrepareOptions,
  announce: (prepared: PreparedLaunch) => void = () => undefined,
): Promise<PreparedLaunch> {
  const read = await readDescription(io, file);
  const { description, io: there } = read;
  const out = await outFolder(io, options.out, {
    ...{ '<launch.yaml>': file, '--lab': options.lab },
    ...inputs(there, description),
  });
  const cmdline = await describedCmdline(read, options.lab !== undefined);
  const secrets = description.secrets.map(({ name, file: secret }) => `${name}=${secret}`);
  // What is said on the command line counts; a chain in the description is not looked at in a lab.
  const { platformCerts, ...described } = sessionOptions(description, cmdline);
  const session = {
    ...described,
    ...(options.lab === undefined
      ? platformCerts === undefined
        ? {}
        : { platformCerts }
      : { lab: resolvePath(io, options.lab) }),
    ...(options.acceptFirmware === undefined ? {} : { acceptFirmware: options.acceptFirmware }),
    ...(options.insecureAllowDebug === true ? { insecureAllowDebug: true } : {}),
  };
  return makeSession(there, session, async (made) => {
    await checkSecrets(there, secrets, made.record);
    const files = [...made.files, ...(await hostFiles(there, out, description, cmdline, made))];
    const prepared = { read, record: made.record, cmdline, secrets };
    await writeNewFolder(out, files, options.force === true, { announce: () => announce(prepared) });
    return prepared;
  });
}

function inputs(io: Io, { firmware, kernel, initrd, disk, secrets, platformCerts }: LaunchDescription) {
  const disks = { 'disk.image': disk?.image, 'disk.manifest': disk?.manifest };
  const named = { firmware, kernel, initrd, ...disks, 'platform-certs': platformCerts };
  const files = Object.entries(named).map(([key, file]) => [
    key,
    file === undefined ? undefined : resolvePath(io, file),
  ]);
  const ofSecrets = secrets.map(({ name, file }) => [`secrets.${name}`, resolvePath(io, file.replace(/,nul$/, ''))]);
  return Object.fromEntries([...files, ...ofSecrets]) as Record<string, string | undefined>;
}

const SECRET_FILE = 'under secrets stands a file with the bytes of the secret, never the secret itself';

const ONE_NAME =
  'leave one of them out: a name and its GUID are one secret, and so is a GUID in small and capital letters';

/** A secret that is missing or does not fit would be found out when the guest waits; none is read here. */
async function checkSecrets(io: Io, secrets: readonly string[], { firmware }: LaunchRecord): Promise<void> {
  if (secrets.length === 0) return;
  let size = TableHead.size;
  const seen = new Set<string>();
  for (const text of secrets) {
    const { path: file, guid, form } = parseSecretArgument(text);
    const name = secretName(guid) ?? guid;
    if (seen.has(guid))
      throw new BootsealError('usage', `secrets: the secret ${name} stands there twice`, { hint: ONE_NAME });
    seen.add(guid);
    const stat = await fs.stat(resolvePath(io, file)).catch((cause: unknown) => {
      // What stands there may be the secret itself.
      const { message } = ioError(cause, `the file of the secret ${name}`, 'read');
      return Promise.reject(new BootsealError('io', message, { hint: SECRET_FILE }));
    });
    if (!stat.isFile())
      throw new BootsealError('io', `the file of the secret ${name} is no file`, { hint: SECRET_FILE });
    if (stat.size === 0) throw new BootsealError('usage', `the secret ${name} is empty`, { hint: SECRET_FILE });
    size += TableHead.size + stat.size + (form === 'nul' ? 1 : 0);
  }
  const room = secretRoom(firmware.secretArea);
  if (size > room)
    throw new BootsealError('usage', `the secrets need ${size} bytes, the firmware's secret area takes ${room}`, {
      hint: 'inject a key instead, and keep what it opens on the encrypted disk',
    });
}

async function hostFiles(
  io: Io,
  out: string,
  description: LaunchDescription,
  cmdline: string,
  { record, godh, session }: MadeSession,
): Promise<NewFile[]> {
  const inOut = (name: string) => path.join(out, name);
  const file = (name: string | undefined) => (name === undefined ? undefined : resolvePath(io, name));
  const names = hostNames(
    {
      ...{ firmware: file(description.firmware), kernel: file(description.kernel), initrd: file(description.initrd) },
      ...{
        disk: file(description.disk?.image),
        godh: inOut('godh'),
        session: inOut('session'),
        qmp: inOut('qmp.sock'),
      },
      // Not named to QEMU, but in the same folder.
      ...{ cmdline: inOut('cmdline'), arguments: inOut('qemu.args'), domain: inOut('domain.xml') },
    },
    description.hostFolder,
  );
  warnOfSocket(io, names.qmp ?? '');
  const guest = { description, files: names as unknown as HostFiles, cmdline, godh, session };
  const lines = qemuLaunchArguments(guest);
  return [
    { name: 'cmdline', bytes: cmdline, mode: 0o644 },
    { name: 'qemu.args', bytes: `${lines.join('\n')}\n`, mode: 0o644 },
    { name: 'domain.xml', bytes: domainXml(guest), mode: 0o644 },
    { name: 'firmware.json', bytes: await verdict(io, description.firmware, record), mode: 0o644 },
  ];
}

/** Whether the folder stays where it is, the owner knows alone. */
function warnOfSocket(io: Io, qmp: string): void {
  const size = socketPathSize(qmp);
  if (size <= MAX_SOCKET_PATH) return;
  const why = `has ${size} bytes, and a socket at most ${MAX_SOCKET_PATH}`;
  remark(io, 'warning', `QEMU cannot make its socket: ${qmp} ${why}; give --out or host-folder a shorter name`);
}

/** What lint says, or that it can say nothing: the owner has accepted the class by then. */
async function verdict(io: Io, firmware: string, { firmware: { sha256, lint } }: LaunchRecord): Promise<string> {
  const known = lint in FIRMWARE_CLASSES ? lintFirmware(await fs.readFile(resolvePath(io, firmware))) : undefined;
  const { advice = null } = known ?? {};
  const title = known === undefined ? null : FIRMWARE_CLASSES[known.class];
  return `${JSON.stringify({ sha256, class: lint, title, advice }, null, 2)}\n`;
}

const OWNERS = ['record.json', 'tk'];
const HOSTS = ['godh', 'session', 'cmdline', 'qemu.args', 'domain.xml'];

function json({ out }: PrepareOptions, record: LaunchRecord, cmdline: string): string {
  const { platform, policy, expected, firmware, platformKey } = record;
  const { verified, root } = platformKey;
  return `${JSON.stringify({ out, platform, policy, verified, root, firmware, cmdline, expected })}\n`;
}

function text({ out }: PrepareOptions, record: LaunchRecord, cmdline: string, secrets: readonly string[]): string {
  const { verified, root } = record.platformKey;
  const lines = [
    `for you       ${OWNERS.map((name) => path.join(out, name)).join(' ')}  (keep tk secret)`,
    `for the host  ${HOSTS.map((name) => path.join(out, name)).join(' ')}`,
    `platform      ${record.platform}, ${verified ? `verified up to AMD's ${root} root` : 'of a lab: memory is NOT encrypted'}`,
    `firmware      ${record.firmware.lint}, SHA-256 ${record.firmware.sha256}`,
    `command line  ${cmdline}`,
    ...record.expected.map((entry) => `digest        ${entry.digest}  ${printConfiguration(entry)}`.trimEnd()),
    '',
    'On the host, with QEMU or libvirt; both start the guest paused:',
    `  xargs -d '\\n' -a ${path.join(out, 'qemu.args')} qemu-system-x86_64`,
    `  virsh create --paused ${path.join(out, 'domain.xml')}`,
    'Then verify, seal, inject and resume in one step:',
    `  bootseal launch inject --record ${path.join(out, 'record.json')} --qmp ${path.join(out, 'qmp.sock')}${secrets.map(() => ' --secret NAME=FILE').join('')}`,
  ];
  return printableLines(lines);
}
