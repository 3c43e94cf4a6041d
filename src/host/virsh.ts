/** @module A host that is reached through libvirt's virsh (libvirt docs/manpages/virsh.rst: domlaunchsecinfo, domsetlaunchsecstate). */
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { ApiVersion } from '../core/measurement/api-version.ts';
import { ioError, writeNewFile } from './files.ts';
import { type GuestStanding, type InjectedPacket, type LaunchHost, OTHER_LAUNCH } from './launch-host.ts';
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
    if (!(error instanceof BootsealError) || !/fw_error=11\b/.test(error.message)) throw error;
    throw new BootsealError('mismatch', `the platform refuses the packet: ${error.message}`, {
      hint: OTHER_LAUNCH,
      cause: error,
    });
  }
}

/** The packet is encrypted and may lie in files. */
async function withFiles(
  { header, secret }: InjectedPacket,
  use: (files: readonly [string, string]) => Promise<void>,
): Promise<void> {
  const at = os.tmpdir();
  const folder = await fs
    .mkdtemp(path.join(at, 'bootseal-'))
    .catch((cause: unknown) => Promise.reject(ioError(cause, at, 'write')));
  try {
    const files = [path.join(folder, 'header'), path.join(folder, 'secret')] as const;
    await writeNewFile(files[0], header, 0o600);
    await writeNewFile(files[1], secret, 0o600);
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
const LOST =
  /\b(?:Disconnected from|failed to connect to the hypervisor|[Ee]nd of file while reading|[Cc]annot (?:recv|write) data|client socket is closed|connection closed due to|keepalive timeout)\b/;

async function run(name: string, args: readonly string[]): Promise<string> {
  const env = Object.fromEntries(
    KEPT.flatMap((key) => (process.env[key] === undefined ? [] : [[key, process.env[key]]])),
  );
  const stop = AbortSignal.timeout(TIME);
  try {
    return (await runProgram({ name, package: 'libvirt-clients' }, { args, env, stop })).stdout;
  } catch (error) {
    if (error instanceof FailedProgram && LOST.test(error.words)) {
      throw new BootsealError('io', `virsh has lost its host${error.words}`, { hint: ANSWERS, cause: error });
    }
    if (!stop.aborted) throw error;
    throw new BootsealError('io', `virsh did not answer in ${TIME / 1000} s`, {
      hint: ANSWERS,
      cause: error,
    });
  }
}
