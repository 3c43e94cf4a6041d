/** @module The oldest platform firmware that an owner accepts. */
import { BootsealError } from '../errors.ts';
import { FIRST_BOUND_API, isBelow } from '../measurement/api-version.ts';
import { minimumApi } from './policy.ts';
import type { MinimumApi } from './record.ts';

/**
 * Reads `MAJOR.MINOR` or `MAJOR.MINOR.BUILD`; without a text it is 0.17, the first version that measurements bind, or what the
 * policy demands where that is newer.
 * Throws `usage` for anything else, and for a version below the one the policy demands.
 */
export function chooseMinimumApi(text: string | undefined, policy: number): MinimumApi {
  const demanded = { ...minimumApi(policy), build: 0 };
  if (text === undefined) return isBelow(demanded, FIRST_BOUND_API) ? FIRST_BOUND_API : demanded;
  const found = /^(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?$/
    .exec(text)
    ?.slice(1)
    .map((part) => Number(part ?? 0));
  if (found === undefined || found.some((part) => part > 255)) {
    throw new BootsealError('usage', `not an API version: ${JSON.stringify(text.slice(0, 64))}`, {
      hint: 'give it as MAJOR.MINOR or MAJOR.MINOR.BUILD, such as 1.55.21, each number up to 255',
    });
  }
  const [major = 0, minor = 0, build = 0] = found;
  const chosen = { major, minor, build };
  if (isBelow(chosen, demanded)) {
    throw new BootsealError('usage', `the policy demands API ${demanded.major}.${demanded.minor}, more than ${text}`, {
      hint: 'raise the minimum API, or lower the version in bits 16-31 of the policy',
    });
  }
  return chosen;
}
