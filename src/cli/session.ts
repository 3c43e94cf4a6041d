/** @module `bootseal session`: what the owner makes before a launch. */
import { Command, Option } from 'commander';
import type { Io } from './io.ts';
import { addMeasureOptions } from './measure-options.ts';
import { addPlatformKeyOptions } from './platform-key.ts';
import { createSessionFolder, type SessionOptions } from './session-create.ts';

const EXAMPLES = `
Examples:
  bootseal session create --platform sev --platform-certs certs/ --policy nodbg,noks,nosend \\
      --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd.img --cmdline "console=ttyS0" --out launch
  bootseal session create --platform sev-es --platform-certs export.bin --policy nodbg,noks,nosend,es \\
      --firmware OVMF.amdsev.fd --kernel vmlinuz --vcpus 4 --cpu EPYC-v4 --minimum-api 1.55 --out launch

The folder holds godh and session for the host, and tk and record.json for you alone.
A session is good for one launch on one machine. See docs/session.md for what to ask the host for.`;

/** Builds the command. */
export function sessionCommand(io: Io): Command {
  const command = new Command('session').addHelpText('after', EXAMPLES);
  const create = command
    .command('create')
    .summary('make session, transport keys and record of one launch')
    .description(
      'Make the session, the transport keys and the record of one launch, for a platform that AMD vouches for.',
    )
    .addOption(new Option('--platform <name>', 'what the guest is').choices(['sev', 'sev-es']).makeOptionMandatory())
    .requiredOption('--policy <policy>', 'guest policy: flags such as nodbg,noks,es, or a number')
    .requiredOption('--out <folder>', 'new folder for the session')
    .option('--minimum-api <version>', 'oldest platform firmware to accept, MAJOR.MINOR[.BUILD] (default: 0.17)')
    .option('--insecure-allow-debug', 'accept a policy without nodbg: the host can then read the guest')
    .option('--accept-firmware <class>', 'accept firmware of exactly this class of `firmware lint`, or unreadable')
    .option('--force', 'replace the folder')
    .option('--json', 'print one JSON object');
  addMeasureOptions(addPlatformKeyOptions(create))
    .addHelpText('after', EXAMPLES)
    .action(async (options: SessionOptions) => createSessionFolder(io, options));
  return command;
}
