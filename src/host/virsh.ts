/** @module A host that is reached through libvirt's virsh (libvirt docs/manpages/virsh.rst: domlaunchsecinfo, domsetlaunchsecstate). */
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { ApiVersion } from '../core/measurement/api-version.ts';
import { type GuestStanding, type InjectedPacket, type LaunchHost, NoPlace, OTHER_LAUNCH } from './launch-host.ts';
import { writeNewFile } from './new-file.ts';
import { FailedProgram, runProgram } from './program.ts';

const TIME = 60_000;

/** Which domain of which libvirt. */
export interface VirshDomain {
  readonly domain: string;
  /** Connection URI; undefined is virsh's own default. */
  readonly connect: string | undefined;
  /** Default: `virsh` of the PATH. */
  readonly program?: string;
}

/** Returns the host of a domain, which is asked nothing yet. */
export function virshHost({ domain, connect, program = 'virsh' }: VirshDomain): LaunchHost {
  const virsh = (command: string, ...more: readonly string[]) => {
    const where = connect === undefined ? [] : ['--connect', connect];
    return run(program, [...where, '--quiet', command, '--domain', domain, ...more]);
  };
  const info = () => virsh('domlaunchsecinfo');
  return {
    name: `virsh:${domain}`,
    standing: async () => standingOf((await virsh('domstate')).trim()),
    measurement: async () => {
      const found = field(await info(), 'sev-measurement');
      if (found === undefined) {
        throw new BootsealError('tool', 'virsh domlaunchsecinfo says no sev-measurement: is it an SEV guest?', {
          hint: 'start the domain.xml of launch prepare, paused: virsh create --paused',
        });
      }
      return found;
    },
    api: async () => apiOf(await info()),
    ready: () => withFiles(LARGEST, async () => undefined),
    inject: (packet) => withFiles(packet, (files) => inject(virsh, packet.gpa, files)),
    resume: async () => void (await virsh('resume')),
    close: () => undefined,
  };
}

function standingOf(state: string): GuestStanding {
  return state === 'paused' ? 'waiting' : state === 'running' ? 'running' : { other: `state ${state.slice(0, 32)}` };
}

function apiOf(info: string): ApiVersion | undefined {
  const [major, minor, build] = ['sev-api-major', 'sev-api-minor', 'sev-build-id'].map((name) => field(info, name));
  if (major === undefined || minor === undefined || build === undefined) return undefined;
  const version = { major: Number(major), minor: Number(minor), build: Number(build) };
  return Object.values(version).every((part) => Number.isInteger(part) && part >= 0 && part <= 255)
    ? version
    : undefined;
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}\\s*:\\s*(\\S+)\\s*$`, 'm').exec(info)?.[1];
}

/** SEV_RET_BAD_MEASUREMENT, as QEMU prints it: the line. */
const BAD_MEASUREMENT = /^.*\bfw_error=11\b.*$/m;

async function inject(
  virsh: (command: string, ...more: readonly string[]) => Promise<string>,
  gpa: number,
  [header, secret]: readonly [string, string],
): Promise<void> {
  try {
    await virsh(
      'domsetlaunchsecstate',
      '--secrethdr',
      header,
      '--secret',
      secret,
      '--set-address',
      `0x${gpa.toString(16)}`,
    );
  } catch (error) {
    const refusal = error instanceof FailedProgram ? BAD_MEASUREMENT.exec(error.stderr)?.[0].trim() : undefined;
    if (refusal === undefined) throw error;
    throw new BootsealError('mismatch', `the platform refuses the packet: ${refusal.slice(0, WORDS)}`, {
      hint: OTHER_LAUNCH,
      cause: error,
    });
  }
}

/** As much as a packet can have: 16 KiB in base64, and its header. */
const LARGEST = { header: ' '.repeat(72), secret: ' '.repeat(22 << 10) };

/** The packet is encrypted and may lie in files. */
async function withFiles(
  { header, secret }: Pick<InjectedPacket, 'header' | 'secret'>,
  use: (files: readonly [string, string]) => Promise<void>,
): Promise<void> {
  const at = os.tmpdir();
  const placed = <T>(work: Promise<T>) => work.catch((cause: unknown) => Promise.reject(new NoPlace(cause, at)));
  const folder = await placed(fs.mkdtemp(path.join(at, 'bootseal-')));
  try {
    const files = [path.join(folder, 'header'), path.join(folder, 'secret')] as const;
    await placed(writeNewFile(files[0], header, 0o600));
    await placed(writeNewFile(files[1], secret, 0o600));
    await use(files);
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

/** What libvirt and the ssh that it may start need of their user's environment. */
const KEPT = [
  'HOME',
  'USER',
  'XDG_CONFIG_HOME',
  'XDG_RUNTIME_DIR',
  'SSH_AUTH_SOCK',
  'LIBVIRT_DEFAULT_URI',
  'LIBVIRT_AUTH_FILE',
];

const ANSWERS = 'look whether libvirt answers at all: virsh list, with the same --connect';

/** What virsh says of a connection that it has not, or not any more (libvirt tools/virsh.c, src/rpc/virnetclient.c, virnetsocket.c). */
/** The line; ssh may have said much more, before it and after. */
const LOST =
  /^.*\b(?:Disconnected from|failed to connect to the hypervisor|[Ee]nd of file while reading|[Cc]annot (?:recv|write) data|client socket is closed|connection closed due to|keepalive timeout)\b.*$/m;

/** The most of such a line that a message repeats. */
const WORDS = 300;

async function run(name: string, args: readonly string[]): Promise<string> {
  const env = Object.fromEntries(
    KEPT.flatMap((key) => (process.env[key] === undefined ? [] : [[key, process.env[key]]])),
  );
  const stop = AbortSignal.timeout(TIME);
  try {
    return (await runProgram({ name, package: 'libvirt-clients' }, { args, env, stop })).stdout;
  } catch (error) {
    const lost = error instanceof FailedProgram ? LOST.exec(error.stderr)?.[0].trim().slice(0, WORDS) : undefined;
    if (lost !== undefined) {
      throw new BootsealError('io', `virsh has lost its host: ${lost}`, { hint: ANSWERS, cause: error });
    }
    if (!stop.aborted) throw error;
    throw new BootsealError('io', `virsh did not answer in ${TIME / 1000} s`, {
      hint: ANSWERS,
      cause: error,
    });
  }
}
