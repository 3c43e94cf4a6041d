/** @module `bootseal lab`: whole launches without the hardware. */
import { Command } from 'commander';
import { createLabPlatform } from '../lab/psp/platform.ts';
import { type Io, printResult, remark } from './io.ts';
import { labAttackCommand } from './lab-attack.ts';
import { labDemoCommand } from './lab-demo.ts';
import { NOT_ENCRYPTED } from './lab-remark.ts';
import { labUpCommand } from './lab-up.ts';
import { outFolder } from './out-folder.ts';

const EXAMPLES = `
Examples:
  bootseal lab platform --out lab
  bootseal lab up launch.yaml --accept-firmware enforcing-some-unverified
  bootseal session create --platform sev --lab lab --policy nodbg,noks,nosend --firmware OVMF.amdsev.fd --out launch

In a lab the guest's memory is NOT encrypted. See docs/lab.md.`;

interface PlatformOptions {
  readonly out: string;
  readonly json?: boolean;
}

/** Builds the command. */
export function labCommand(io: Io): Command {
  const command = new Command('lab')
    .description("Rehearse confidential launches without AMD's hardware: nothing in a lab is confidential.")
    .addHelpText('after', EXAMPLES);
  command
    .command('platform')
    .summary('make a platform in software: certificates and their private keys')
    .description(
      "Make a platform in software: a chain of certificates that is not AMD's, and the private keys that a real platform would never give away.",
    )
    .requiredOption('--out <folder>', 'new folder for the platform')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (options: PlatformOptions) => makePlatform(io, options));
  return command.addCommand(labUpCommand(io)).addCommand(labDemoCommand(io)).addCommand(labAttackCommand(io));
}

async function makePlatform(io: Io, { out, json }: PlatformOptions): Promise<void> {
  const text =
    json === true
      ? `${JSON.stringify({ platform: out, encrypted: false })}\n`
      : `platform  ${out}  (give it as --lab ${out})\n`;
  await createLabPlatform(await outFolder(io, out, {}), () => {
    remark(io, 'warning', NOT_ENCRYPTED);
    printResult(io, text);
  });
}
