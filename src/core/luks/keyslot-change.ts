/**
 * @module Keys that come and go: new ones into unused space and only then into the header, old ones wiped and only then out of
 * the header, as cryptsetup does it (lib/setup.c, crypt_keyslot_add_by_passphrase and crypt_keyslot_destroy).
 */
import { BootsealError } from '../errors.ts';
import type { HeaderChange } from './header-change.ts';
import type { LuksHeader, Unlocked } from './image.ts';
import type { LuksCrypto } from './keyslot.ts';
import { addLuks1Key, removeLuks1Keyslots } from './keyslot-change-luks1.ts';
import { addLuks2Key, removeLuks2Keyslots } from './keyslot-change-luks2.ts';
import type { NewKey, Random } from './plan.ts';
import { checkKdfChoice } from './plan.ts';
import { quoted } from './quote.ts';

/** What a change is made with. */
export interface ChangeInputs {
  readonly random: Random;
  readonly crypto: LuksCrypto;
}

/** What is wanted of the keyslots of an opened image. */
export interface KeyslotChange {
  /** A key that opens a keyslot from now on; `replaces` is the keyslot whose number it takes, where that can be. */
  readonly add?: { readonly key: NewKey; readonly opened: Unlocked; readonly replaces?: number } | undefined;
  /** Keyslots that nothing opens any more. */
  readonly remove: readonly number[];
}

/**
 * Returns the writes of a change: the new keyslot is complete before an old one is touched.
 *
 * @throws `usage` when there is no room for another keyslot, the header requires what is not known here, or a keyslot is none that
 * a passphrase opens; `format` when the new metadata have no room
 */
export async function changeKeyslots(
  header: LuksHeader,
  wanted: KeyslotChange,
  inputs: ChangeInputs,
): Promise<HeaderChange> {
  if (wanted.add !== undefined) {
    if (wanted.add.key.passphrase.length === 0) {
      throw new BootsealError('usage', 'the new key is empty', {
        hint: 'put a key into the file, or have --new-key make one',
      });
    }
    checkKdfChoice(wanted.add.key.kdf, 0);
  }
  if (header.version === 1) {
    const added = wanted.add === undefined ? undefined : await addLuks1Key(header, wanted.add, inputs);
    return removeLuks1Keyslots(added?.header ?? header, wanted.remove, inputs.random, added);
  }
  checkRequirements(header.current.metadata.config.requirements);
  const added = wanted.add === undefined ? undefined : await addLuks2Key(header.current, wanted.add, inputs);
  return removeLuks2Keyslots(header.current, wanted.remove, inputs.random, added);
}

function checkRequirements(requirements: readonly string[]): void {
  if (requirements.length === 0) return;
  throw new BootsealError(
    'usage',
    `the header requires ${requirements.map(quoted).join(', ')}, which is not known here`,
    {
      hint: 'a reencryption that was interrupted is finished with cryptsetup reencrypt --resume-only',
    },
  );
}
