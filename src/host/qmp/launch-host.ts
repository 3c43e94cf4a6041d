/** @module A host that is reached over QMP. */
import { BootsealError } from '../../core/errors.ts';
import { isObject, type JsonFields } from '../../core/json-fields.ts';
import type { ApiVersion } from '../../core/measurement/api-version.ts';
import { injectSecretCommand } from '../../core/secret/packet-forms.ts';
import { type GuestStanding, type LaunchHost, OTHER_LAUNCH } from '../launch-host.ts';
import { QmpClient, QmpRefusal } from './client.ts';
import { NOT_QEMU } from './json-stream.ts';

/** SEV_RET_BAD_MEASUREMENT (Linux include/uapi/linux/psp-sev.h), as QEMU prints it. */
const BAD_MEASUREMENT = /\bfw_error=11\b/;

/** Connects to the QMP socket `path`. Throws as QmpClient.connect. */
export async function qmpHost(path: string): Promise<LaunchHost> {
  const client = await QmpClient.connect(path);
  const ask = async (command: string) => fields(await client.execute(command), command);
  return {
    name: `qmp:${path}`,
    standing: async () => standingOf(await ask('query-sev')),
    measurement: async () => text(await ask('query-sev-launch-measure'), 'data'),
    api: async () => apiOf(await ask('query-sev')),
    ready: async () => undefined,
    inject: async (packet) => {
      const { execute, arguments: given } = injectSecretCommand(packet, packet.gpa);
      await client.execute(execute, given).catch((error) => Promise.reject(refused(error)));
    },
    resume: async () => void (await client.execute('cont')),
    close: () => client.close(),
  };
}

function standingOf(answer: JsonFields): GuestStanding {
  if (answer['enabled'] !== true) return { other: 'a guest without SEV' };
  const state = text(answer, 'state');
  if (state === 'launch-secret') return 'waiting';
  return state === 'running' ? 'running' : { other: `state ${state.slice(0, 32)}` };
}

function apiOf(answer: JsonFields): ApiVersion | undefined {
  const [major, minor, build] = ['api-major', 'api-minor', 'build-id'].map((key) => answer[key]);
  return isByte(major) && isByte(minor) && isByte(build) ? { major, minor, build } : undefined;
}

const isByte = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;

function refused(error: unknown): unknown {
  if (!(error instanceof QmpRefusal) || !BAD_MEASUREMENT.test(error.words)) return error;
  return new BootsealError('mismatch', `the platform refuses the packet: ${error.words}`, { hint: OTHER_LAUNCH });
}

function fields(value: unknown, command: string): JsonFields {
  if (isObject(value)) return value;
  throw new BootsealError('format', `QMP: the answer to ${command} is no object`, { hint: NOT_QEMU });
}

function text(answer: JsonFields, key: string): string {
  const value = answer[key];
  if (typeof value === 'string') return value;
  throw new BootsealError('format', `QMP: an answer has no text under ${key}`, { hint: NOT_QEMU });
}
