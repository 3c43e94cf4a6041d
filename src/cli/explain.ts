/** @module `bootseal explain`: why does a launch not give the digest that is expected? */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { accountOf, type LaunchAccount } from '../core/explain/account.ts';
import { explainLaunch } from '../core/explain/explain.ts';
import { commandLineSlips } from '../core/identify/command-lines.ts';
import { launchContents } from '../core/measurement/launch-contents.ts';
import type { Platform } from '../core/measurement/measure.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { type FoundOptions, readFound, readPlan } from './explain-input.ts';
import { explanationJson, explanationLines } from './explain-text.ts';
import { type Io, printableLines, remark } from './io.ts';
import { addMeasureOptions, type MeasureOptions, measureFromOptions } from './measure-options.ts';

interface PrintOptions {
  readonly json?: boolean;
}

const PLATFORMS: Readonly<Record<Platform, string>> = {
  sev: 'compare a SEV guest with what its host did',
  'sev-es': 'compare a SEV-ES guest with what its host did',
  snp: 'compare a SEV-SNP guest with what its host did',
};

const EXAMPLES = `
What you expect is given with the options of bootseal measure; what the host did is in a file, or - for standard input: the trace lines of
QEMU (-trace 'kvm_sev*'), what KVM prints of the vCPUs (dynamic debugging of sev_es_sync_vmsa), or a plan of bootseal measure --plan --json.
Of a TDX guest two plans are compared: MRTD step by step and, where both were made with --kernel, the events of RTMR0 to RTMR2.

Exit status: 0 nothing differs in what both tell, 1 something differs, 2 no guest can be started so, 3 a file is damaged or cut,
5 a file cannot be read.

Examples:
  bootseal explain snp --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd.img --cmdline "console=ttyS0" \\
      --vcpus 4 --cpu EPYC-v4 --trace qemu.log
  bootseal explain sev-es --firmware OVMF.amdsev.fd --vcpus 2 --cpu EPYC-Milan --vmsa-dump dmesg.txt
  bootseal explain sev --firmware OVMF.amdsev.fd --kernel vmlinuz --trace qemu.log --json
  bootseal explain snp --firmware OVMF.fd --profile ec2 --against theirs.json
  bootseal measure tdx --firmware OVMF.fd --kernel vmlinuz --cmdline "console=hvc0" --plan --json > mine.json
  bootseal explain plans mine.json theirs.json`;

/** Builds the command. */
export function explainCommand(io: Io): Command {
  const command = new Command('explain').addHelpText('after', EXAMPLES);
  for (const [platform, description] of Object.entries(PLATFORMS) as [Platform, string][]) {
    addMeasureOptions(command.command(platform).description(description), { descriptor: platform === 'snp' })
      .option('--trace <log>', "what QEMU printed with -trace 'kvm_sev*'")
      .option('--vmsa-dump <file>', 'what KVM printed of the vCPUs, or their pages of 4096 bytes')
      .option('--against <plan>', 'what bootseal measure --plan --json printed elsewhere')
      .option('--json', 'print one JSON object')
      .addHelpText('after', EXAMPLES)
      .action(async (options: MeasureOptions & FoundOptions & PrintOptions) => {
        const found = await readFound(io, options);
        conclude(io, await predicted(io, platform, options), found, options);
      });
  }
  command
    .command('plans')
    .description('compare two plans of bootseal measure --plan --json')
    .argument('<expected>', 'the plan that is expected')
    .argument('<found>', 'the plan that was found')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (expected: string, found: string, options: PrintOptions) => {
      conclude(io, await readPlan(io, expected), await readPlan(io, found), options);
    });
  return command;
}

async function predicted(io: Io, platform: Platform, options: MeasureOptions): Promise<LaunchAccount> {
  const { request, results, cmdline } = await measureFromOptions(io, platform, options, true);
  const [result] = results;
  if (result === undefined || results.length > 1) {
    throw new BootsealError('usage', `${results.length} guests are described, and one is compared`, {
      hint: 'give a single number to --vcpus and a single model to --cpu',
    });
  }
  const account = accountOf(result, launchContents(request, result.cpu, result.vcpus));
  return cmdline === undefined ? account : { ...account, cmdlineSlips: commandLineSlips(cmdline, nodeHashes) };
}

function conclude(io: Io, expected: LaunchAccount, found: LaunchAccount, { json }: PrintOptions): void {
  const explanation = explainLaunch(expected, found);
  const { differences } = explanation;
  const isCut = found.cut !== undefined || found.vmsas?.cut === true;
  if (differences.length === 0 && isCut) {
    throw new BootsealError('format', 'the log is cut: nothing differs in what is there, and the rest is not known', {
      hint: 'give the whole log, from the start of the launch to its end',
    });
  }
  if (isCut) remark(io, 'warning', 'the log is cut: more may differ than what is shown');
  if (json === true) io.stdout.write(`${JSON.stringify(explanationJson(explanation), null, 2)}\n`);
  else io.stdout.write(printableLines(explanationLines(explanation)));
  if (differences.length > 0) {
    throw new BootsealError('mismatch', 'the launch is not the one that is expected', {
      hint: 'believe the host only as far as you have other reason to: measure again with what you find right',
    });
  }
}
