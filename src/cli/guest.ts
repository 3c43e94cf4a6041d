/** @module `bootseal guest`: what runs inside the guest. */
import { Command } from 'commander';
import { guestBridgeCommand } from './guest-bridge.ts';
import { guestEraseCommand } from './guest-erase.ts';
import { guestKeyringCommand } from './guest-keyring.ts';
import { guestListCommand } from './guest-list.ts';
import { guestReadCommand } from './guest-read.ts';
import { guestRequestKeyCommand } from './guest-request-key.ts';
import { guestUnlockCommand } from './guest-unlock.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function guestCommand(io: Io): Command {
  return new Command('guest')
    .description('Read, use and erase the secrets that were injected into this guest.')
    .addCommand(guestListCommand(io))
    .addCommand(guestReadCommand(io))
    .addCommand(guestEraseCommand(io))
    .addCommand(guestUnlockCommand(io))
    .addCommand(guestKeyringCommand(io))
    .addCommand(guestRequestKeyCommand(io))
    .addCommand(guestBridgeCommand(io))
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  bootseal guest list
  bootseal guest read 1ee27366-0c87-43a6-af48-28543eaf7cb0 --out /run/tls.key
  bootseal guest erase --all`;
