/**
 * @module Token objects of LUKS2 metadata: how the passphrase of a keyslot is come by (LUKS2 On-Disk Format Specification 1.1.4,
 * section 3.5). Beyond type and keyslots a token holds what its type wants; other tools pass it by.
 */
import { numberedObjects, type Place, referencesField, stringField } from './fields.ts';
import type { JsonObject } from './json.ts';

/** A token of any type. */
export interface Token {
  readonly id: number;
  readonly type: string;
  /** Numbers of the keyslots whose passphrase it yields. */
  readonly keyslots: readonly number[];
  /** The whole object. */
  readonly json: JsonObject;
}

export const MAX_TOKENS = 32;

/** Reads the section `tokens`; throws `format` naming the first place that breaks a rule. */
export function readTokens(section: Place, keyslots: Place): readonly Token[] {
  return numberedObjects(section, MAX_TOKENS).map(({ id, place }) => ({
    id,
    type: stringField(place, 'type'),
    keyslots: referencesField(place, 'keyslots', keyslots),
    json: place.object,
  }));
}
