/** @module The version of the platform's SEV firmware API, as `query-sev` reports it and LAUNCH_MEASURE authenticates it. */
import { BootsealError } from '../errors.ts';

/** Three numbers of one byte each, compared in this order. */
export interface ApiVersion {
  readonly major: number;
  readonly minor: number;
  readonly build: number;
}

/**
 * The first version whose measurement covers the version itself and whose secret packets cover the measurement
 * (AMDESE/sev-tool src/commands.cpp); older ones are called legacy here.
 */
export const FIRST_BOUND_API: ApiVersion = { major: 0, minor: 17, build: 0 };

/** Tells whether `a` is an older version than `b`. */
export function isBelow(a: ApiVersion, b: ApiVersion): boolean {
  return rank(a) < rank(b);
}

/** Tells whether `api` leaves its own version out of measurements, and measurements out of packets. */
export function isLegacy(api: ApiVersion): boolean {
  return isBelow(api, FIRST_BOUND_API);
}

/** Returns `major.minor.build`. */
export function printApi(api: ApiVersion): string {
  return `${api.major}.${api.minor}.${api.build}`;
}

/** Returns `api`; throws `usage` when a number is not a byte. */
export function checkApi(api: ApiVersion): ApiVersion {
  for (const key of ['major', 'minor', 'build'] as const) {
    if (!Number.isInteger(api[key]) || api[key] < 0 || api[key] > 255) {
      throw new BootsealError('usage', `API ${key} ${api[key]} is not a number from 0 to 255`, {
        hint: 'take the numbers from query-sev or virsh domlaunchsecinfo',
      });
    }
  }
  return api;
}

/** Returns the version as one number, which grows by one from build to build. */
export const rank = (api: ApiVersion): number => (api.major << 16) | (api.minor << 8) | api.build;
