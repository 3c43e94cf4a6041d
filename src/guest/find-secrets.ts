/** @module Finds the secrets of the guest: the places in order, and for each one that has none the reason. */
import { BootsealError } from '../core/errors.ts';
import { fileSource } from './file.ts';
import type { Guest } from './guest.ts';
import { findMemory } from './memory.ts';
import { findSecurityfs } from './securityfs.ts';
import type { SecretSource } from './source.ts';

/** Which places are looked at. */
export type Place = 'securityfs' | 'memory';

/** The source that was found, and why those before it were none. */
export interface Found {
  readonly source: SecretSource;
  readonly passed: readonly { readonly place: Place; readonly why: string }[];
}

const FIND: Readonly<Record<Place, (guest: Guest) => Promise<SecretSource | string>>> = {
  securityfs: findSecurityfs,
  memory: findMemory,
};

/** The order: a driver that has taken the area shows what the kernel says is there. */
export const PLACES: readonly Place[] = ['securityfs', 'memory'];

/**
 * Returns the first place that has secrets.
 *
 * @throws `io` with every reason when there is none
 */
export async function findSecrets(guest: Guest, places: readonly Place[] = PLACES): Promise<Found> {
  const passed: { place: Place; why: string }[] = [];
  for (const place of places) {
    const found = await FIND[place](guest);
    if (typeof found !== 'string') return { source: found, passed };
    passed.push({ place, why: found });
  }
  throw new BootsealError(
    'io',
    `no launch secrets here: ${passed.map(({ place, why }) => `${place}: ${why}`).join('; ')}`,
    { hint: 'one of these places is enough; a launch that was given no secret has to be made anew' },
  );
}

/** Returns the secrets in a file as {@link findSecrets} does. */
export async function secretsInFile(file: string): Promise<Found> {
  return { source: await fileSource(file), passed: [] };
}
