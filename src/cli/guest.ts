/** @module `bootseal guest`: what runs inside the guest. */
import { Command } from 'commander';
import { guestEraseCommand } from './guest-erase.ts';
import { guestListCommand } from './guest-list.ts';
import { guestReadCommand } from './guest-read.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function guestCommand(io: Io): Command {
  return new Command('guest')
    .description('Read, use and erase the secrets that were injected into this guest.')
    .addCommand(guestListCommand(io))
    .addCommand(guestReadCommand(io))
    .addCommand(guestEraseCommand(io));
}
