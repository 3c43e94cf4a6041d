/**
 * @module The tokens that bootseal makes and reads: `luks2-keyring` (cryptsetup's own) names a key of the kernel's keyring,
 * `bootseal` the launch secret that holds the passphrase. A token never holds a secret itself.
 */

import { BootsealError } from '../errors.ts';
import { type Guid, parseGuid } from '../guid.ts';
import { type JsonObject, toJson } from './metadata/json.ts';
import type { Token } from './metadata/tokens.ts';
import { OWN_COPY } from './own-copy.ts';

/** What a token says about where the passphrase of its keyslots comes from. */
export type TokenMeaning =
  | { readonly type: 'luks2-keyring'; readonly keyDescription: string }
  | { readonly type: 'bootseal'; readonly secret: Guid };

/** Returns the JSON object of a token. */
export function tokenJson(meaning: TokenMeaning, keyslots: readonly number[]): JsonObject {
  const names = keyslots.map(String);
  // Exactly these three fields: cryptsetup refuses a keyring token with more (lib/luks2/luks2_token_keyring.c).
  if (meaning.type === 'luks2-keyring') {
    if (meaning.keyDescription === '') {
      throw new BootsealError('usage', 'a luks2-keyring token needs the description of a key', {
        hint: 'name the key with --keyring-token',
      });
    }
    return toJson({ type: meaning.type, keyslots: names, key_description: meaning.keyDescription });
  }
  return toJson({ type: meaning.type, keyslots: names, secret: parseGuid(meaning.secret) });
}

/** Returns what a token of one of the known types says, undefined for another type; throws `format` when it breaks its type's rules. */
export function tokenMeaning({ id, type, json }: Token): TokenMeaning | undefined {
  if (type === 'luks2-keyring') {
    const keyDescription = json.get('key_description');
    if (json.size !== 3 || typeof keyDescription !== 'string' || keyDescription === '') {
      throw broken(id, 'a luks2-keyring token has type, keyslots and key_description, and nothing else');
    }
    return { type, keyDescription };
  }
  if (type === 'bootseal') {
    const secret = json.get('secret');
    if (typeof secret !== 'string') throw broken(id, 'a bootseal token names the GUID of a secret');
    return { type, secret: parseGuid(secret) };
  }
  return undefined;
}

function broken(id: number, what: string): BootsealError {
  return new BootsealError('format', `tokens.${id}: ${what}`, OWN_COPY);
}
