/** @module `bootseal lab demo`: a whole launch on this machine, from a folder to a guest that runs on the encrypted disk made of it, and three attacks. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { ADVICE, lintFirmware } from '../core/firmware/lint.ts';
import { ioError } from '../host/io-error.ts';
import { checkNewFolder } from '../host/new-folder.ts';
import { withSignals } from '../host/signals.ts';
import { GUEST_SAYS, MESSAGE, writeBaseInitrd, writeRoot } from '../lab/demo-guest.ts';
import { type DemoParts, findDemoParts } from '../lab/demo-parts.ts';
import { readSystemFile } from '../lab/system/system.ts';
import { readFirmware } from './firmware-input.ts';
import { type Io, resolvePath } from './io.ts';
import { QMP, startGuest } from './lab-host.ts';
import { Stage } from './lab-stage.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

interface Options {
  readonly platform: 'sev' | 'sev-es';
  readonly firmware?: string;
  readonly system: string;
  readonly keep?: string;
  readonly json?: boolean;
}

/** Returns the command. */
export function labDemoCommand(io: Io): Command {
  return new Command('demo')
    .summary('show a whole launch, and three attacks that fail')
    .description(
      'Show a whole launch on this machine: an encrypted disk, a guest that is measured, verified and given its key, and that runs on the disk; then three hosts that cheat.',
    )
    .addOption(
      new Option('--platform <name>', 'whose rules: sev, or sev-es, which also measures CPU state')
        .choices(['sev', 'sev-es'])
        .default('sev-es'),
    )
    .option('--firmware <file>', 'OVMF of the AmdSev kind (default: where packages have it)')
    .option('--system <folder>', "Debian system that the guest's kernel, busybox and cryptsetup are taken from", '/')
    .option('--keep <folder>', 'new folder that keeps all files of the demonstration')
    .option('--json', 'print events, one JSON object a line')
    .addHelpText('after', HELP)
    .action(async (options: Options) => labDemo(io, options));
}

const HELP = `
In a lab the guest's memory is NOT encrypted. It needs no root, QEMU runs under plain emulation, and nothing is left behind.

Examples:
  bootseal lab demo
  bootseal lab demo --firmware OVMF.amdsev.fd --platform sev
  bootseal lab demo --keep demo && cd demo && bootseal lab up launch.yaml --accept-firmware enforcing-some-unverified`;

/** Bytes that `image build --new-key` writes. */
const KEY_SIZE = 44;
/** More than 512 is not needed, and emulation clears all of it. */
const MEMORY = '512M';

async function labDemo(io: Io, options: Options): Promise<void> {
  if (options.keep === '-') {
    throw new BootsealError('usage', '--keep names a new folder, and - would be standard output', {
      hint: 'give the folder a name, such as --keep demo',
    });
  }
  const firmware = options.firmware === undefined ? undefined : resolvePath(io, options.firmware);
  const parts = findDemoParts(resolvePath(io, options.system), firmware);
  const keep = options.keep === undefined ? undefined : resolvePath(io, options.keep);
  if (keep !== undefined && (await fs.lstat(keep).catch(() => undefined)) !== undefined) {
    throw new BootsealError('io', `${options.keep} exists already`, { hint: 'give the name of a new folder' });
  }
  if (keep !== undefined) await checkNewFolder(keep, []);
  const { run } = await import('./main.ts');
  await withSignals((stop) =>
    withTemporaryFolder('bootseal-demo-', async (folder) => {
      try {
        const stage = new Stage(io, folder, run, options.json === true);
        await show(io, stage, { parts, folder, stop, platform: options.platform });
        if (keep !== undefined) await keepFiles(folder, keep);
        stage.end('every command ended as it should. In a real launch the memory would be encrypted.');
      } catch (error) {
        // What a signal ended is no failure of its own.
        if (!stop.aborted) throw error;
      }
    }),
  );
}

/** Copies the files of a demonstration into a new folder, complete or not at all. Throws `io`. */
export async function keepFiles(folder: string, keep: string): Promise<void> {
  // A name that is not longer than any that may be given.
  const part = path.join(path.dirname(keep), `.${process.pid}.part`);
  try {
    await fs.cp(folder, part, { recursive: true, filter: (file) => path.basename(file) !== QMP });
    await fs.rename(part, keep);
  } catch (cause) {
    throw ioError(cause, keep, 'write');
  } finally {
    await fs.rm(part, { recursive: true, force: true });
  }
}

interface Place {
  readonly parts: DemoParts;
  readonly folder: string;
  readonly stop: AbortSignal;
  readonly platform: 'sev' | 'sev-es';
}

async function show(io: Io, stage: Stage, place: Place): Promise<void> {
  const { parts, folder, stop, platform } = place;
  const at = (name: string) => path.join(folder, name);
  stage.say(`A launch under the rules of ${platform}, on QEMU and the software PSP: the memory is NOT encrypted.`);
  stage.say(`Kernel: ${parts.kernel.version} of Debian. Firmware: ${parts.firmware}.`);
  const { firmware, image } = await readFirmware(io, parts.firmware);
  if (firmware.secretArea === undefined || image === undefined) throw otherFirmware(parts, 'has no secret area');
  await fs.writeFile(at('OVMF.amdsev.fd'), image);
  await fs.writeFile(at('vmlinuz'), readSystemFile(parts.root, parts.kernel.file));
  const lint = lintFirmware(image).class;
  if (lint !== 'enforcing' && lint !== 'enforcing-some-unverified') {
    throw otherFirmware(parts, `does not check what it boots: it is of the class ${lint}`);
  }
  const accept = lint === 'enforcing' ? [] : ['--accept-firmware', lint];

  stage.step('A folder becomes an encrypted disk, and an initrd learns to open it with a key that is injected');
  await writeRoot(at('root'), parts, firmware.secretArea.base, KEY_SIZE);
  const build = ['--from', 'root', '--owner', 'root', '--size', '32M', '--new-key', 'disk.key', '--out', 'disk.img'];
  await stage.run(['image', 'build', ...build], { show: /^(disk|cipher) .*/ });
  stop.throwIfAborted();
  await writeBaseInitrd(at('base.img'), parts);
  await stage.run(['initrd', 'add', '--base', 'base.img', '--with', 'unlock', '--out', 'initrd.img']);

  stage.step('One file describes the launch; the owner keeps a record of what it must be, and the host gets the rest');
  await fs.writeFile(at('launch.yaml'), demoDescription(platform, 'initrd.img'));
  await stage.run(['lab', 'platform', '--out', 'platform'], { show: /warning: .*/ });
  if (accept.length > 0) {
    stage.say(`The firmware is of the class ${lint}, which the owner has to accept. Advice of \`firmware lint\`:`);
    stage.say(ADVICE[lint]);
  }
  const prepare = ['launch', 'prepare', 'launch.yaml', '--lab', 'platform', ...accept, '--out'];
  await stage.run([...prepare, 'launch'], { show: /^(platform|digest|expected|cmdline|command line) .*/ });
  stop.throwIfAborted();

  stage.step(
    'The host starts the guest, paused. The owner verifies it, and only then the key leaves for its memory (NOT encrypted)',
  );
  const up = (file: string, launch: string) => [
    'lab',
    'up',
    file,
    '--lab',
    'platform',
    '--launch',
    launch,
    '--qmp',
    QMP,
  ];
  const inject = (launch: string) => [
    ...['launch', 'inject', '--record', `${launch}/record.json`, '--qmp', QMP],
    ...['--secret', 'disk-passphrase=disk.key'],
  ];
  const start = (file: string, launch: string) =>
    startGuest(stage, folder, up(file, launch), (line) => {
      const at = line.indexOf(GUEST_SAYS);
      if (at !== -1) stage.guest(line.slice(at + GUEST_SAYS.length));
    });
  stage.typed(up('launch.yaml', 'launch'), ' &');
  const guest = await start('launch.yaml', 'launch');
  await stage.run(inject('launch'), { show: /^(measurement|API|secret|packet|guest) .*/ });
  stage.step(
    'The guest boots: the firmware checks kernel, initrd and command line, the initrd opens the disk (memory NOT encrypted)',
  );
  const { lines } = await guest.ended;
  checkGuest(lines);
  stop.throwIfAborted();

  stage.step('Three hosts that cheat. Each time another measurement, and no key leaves');
  await stage.quietly([...prepare, 'second']);
  stage.say('One changes the initrd:');
  await fs.writeFile(at('evil'), 'cat /dev/mem > /dev/vdb\n');
  await stage.quietly(['initrd', 'add', '--base', 'initrd.img', '--file', 'evil=evil', '--out', 'evil.img']);
  await fs.writeFile(at('evil.yaml'), demoDescription(platform, 'evil.img'));
  await cheat(stage, await start('evil.yaml', 'second'), inject('second'));
  stop.throwIfAborted();
  stage.say('One changes the command line:');
  await fs.cp(at('second'), at('cheating'), { recursive: true });
  await fs.appendFile(at('cheating/cmdline'), ' init=/bin/sh');
  await cheat(stage, await start('launch.yaml', 'cheating'), inject('second'));
  stop.throwIfAborted();
  stage.say('One flips a bit in the measurement of the guest that was right:');
  const measurement = Buffer.from(guest.measurement, 'base64');
  measurement.writeUInt8(measurement.readUInt8(0) ^ 1, 0);
  await fs.writeFile(at('measurement'), measurement.toString('base64'));
  await stage.run(['verify', 'launch', '--record', 'launch/record.json', '--measurement', 'measurement'], REFUSED);
}

function otherFirmware({ firmware }: DemoParts, why: string): BootsealError {
  return new BootsealError('usage', `${firmware} ${why}`, { hint: 'give an OVMF of the AmdSev kind' });
}

const REFUSED = { status: 1, show: /error: [^;]*/ };

async function cheat(stage: Stage, guest: Awaited<ReturnType<typeof startGuest>>, inject: readonly string[]) {
  try {
    await stage.run(inject, REFUSED);
  } finally {
    await guest.quit();
  }
}

/** Returns the launch.yaml of the demonstration. */
export function demoDescription(platform: 'sev' | 'sev-es', initrd: string): string {
  const es = platform === 'sev-es';
  return `platform: ${platform}
policy: [nodbg, noks, nosend${es ? ', es' : ''}]
firmware: OVMF.amdsev.fd
kernel: vmlinuz
initrd: ${initrd}
cmdline: console=ttyS0 panic=-1 quiet
${es ? 'cpu: EPYC-v4\n' : ''}memory: ${MEMORY}
disk:
  image: disk.img
secrets:
  disk-passphrase: disk.key
`;
}

/** The guest has to say itself that it runs on the disk, and that its key is gone. */
function checkGuest(lines: readonly string[]): void {
  const said = lines.join('\n');
  const wanted = [
    `${GUEST_SAYS}root is /dev/mapper/root, ext4`,
    MESSAGE,
    `${GUEST_SAYS}of the key 0 of ${KEY_SIZE} bytes`,
  ];
  const missing = wanted.find((text) => !said.includes(text));
  if (missing === undefined) return;
  throw new BootsealError('tool', `the guest did not say ${JSON.stringify(missing)}`, {
    hint: `its console ended with: ${lines.slice(-8).join(' | ')}`,
  });
}
