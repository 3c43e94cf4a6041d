/** @module The options that say which SEV API version the platform reports. */
import type { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { ApiVersion } from '../core/measurement/api-version.ts';
import { parseUnsigned } from './numbers.ts';

/** What commander makes of the options. */
export interface ApiOptions {
  readonly apiMajor?: number;
  readonly apiMinor?: number;
  readonly buildId?: number;
}

/** Adds `--api-major`, `--api-minor` and `--build-id`. */
export function addApiOptions(command: Command): Command {
  return command
    .option('--api-major <n>', 'SEV API major version that the platform reports', byte('--api-major'))
    .option('--api-minor <n>', 'SEV API minor version that the platform reports', byte('--api-minor'))
    .option('--build-id <n>', 'SEV firmware build that the platform reports', byte('--build-id'));
}

/** Returns the version, or undefined when no option was given; throws `usage` when only some were. */
export function apiFromOptions({ apiMajor, apiMinor, buildId }: ApiOptions): ApiVersion | undefined {
  if (apiMajor === undefined && apiMinor === undefined && buildId === undefined) return undefined;
  if (apiMajor === undefined || apiMinor === undefined || buildId === undefined) {
    throw new BootsealError('usage', '--api-major, --api-minor and --build-id belong together', {
      hint: 'give all three as query-sev or virsh domlaunchsecinfo print them',
    });
  }
  return { major: apiMajor, minor: apiMinor, build: buildId };
}

const byte = (option: string) => (text: string) => parseUnsigned(text, option, 255);
