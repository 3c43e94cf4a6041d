/** @module `bootseal measure`: the digest that a platform must report. */
import { Command } from 'commander';
import { bytesToHex } from '../core/hex.ts';
import { launchContents } from '../core/measurement/launch-contents.ts';
import type { Measured, Platform } from '../core/measurement/measure.ts';
import type { Step } from '../core/measurement/plan.ts';
import { nonZeroFields } from '../core/measurement/vmsa-fields.ts';
import type { Io } from './io.ts';
import { remark } from './io.ts';
import { addMeasureOptions, type MeasuredLaunch, type MeasureOptions, measureFromOptions } from './measure-options.ts';
import {
  addReferenceOptions,
  checkReferenceFile,
  checkReferenceOptions,
  type ReferenceOptions,
  writeReference,
} from './measure-reference.ts';
import { addPrintOptions, type DigestFormat, digestText, type PrintOptions, stepJson, stepLine } from './plan-text.ts';

const PLATFORMS: Readonly<Record<Platform, string>> = {
  sev: 'launch digest of a SEV guest (SHA-256)',
  'sev-es': 'launch digest of a SEV-ES guest (SHA-256)',
  snp: 'launch measurement of a SEV-SNP guest (SHA-384)',
};

const EXAMPLES = `
Exit status: 0 the digest is printed, 2 no guest can be started so, 3 the firmware or the IGVM file is damaged or cannot serve the platform,
5 a file cannot be read.

Examples:
  bootseal measure snp --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd.img \\
      --cmdline "console=ttyS0 root=/dev/vda1" --vcpus 4 --cpu EPYC-v4
  bootseal measure sev --firmware OVMF.amdsev.fd --kernel vmlinuz --cmdline-file cmdline.txt
  bootseal measure sev-es --firmware OVMF.amdsev.fd --kernel vmlinuz --vcpus 4 --cpu EPYC-Milan --plan
  bootseal measure snp --firmware OVMF.fd --profile ec2 --vcpus 1,2,4,8 --json
  bootseal measure snp --firmware OVMF.fd --vcpus 1-64 --cpu EPYC-Milan,EPYC-Genoa --reference rvps --out rvps.json
  bootseal measure tdx --firmware OVMF.inteltdx.fd
  bootseal measure tdx --firmware OVMF.inteltdx.fd --order two-pass --plan
  bootseal measure tdx --firmware OVMF.fd --kernel vmlinuz --initrd initrd.img --cmdline "console=hvc0" --memory 2G
  bootseal measure igvm coconut-qemu.igvm --plan
  bootseal measure igvm guest.igvm --platform snp --as microsoft

One result prints just the digest; several print one line each, digest last.
A digest depends on what the host adds by itself: see --profile and docs/profiles.md, --order for tdx, and --as and docs/igvm.md.`;

/** Builds the command; when `wanted` names a platform that has no file of its own, without those that have. */
export async function measureCommand(io: Io, wanted?: string): Promise<Command> {
  const command = new Command('measure').addHelpText('after', EXAMPLES);
  for (const [platform, description] of Object.entries(PLATFORMS) as [Platform, string][]) {
    const measures = addPrintOptions(
      addMeasureOptions(command.command(platform).description(description), { descriptor: platform === 'snp' }),
    );
    if (platform === 'snp') addReferenceOptions(measures);
    measures
      .addHelpText('after', EXAMPLES)
      .action(async (options: MeasureOptions & PrintOptions & ReferenceOptions) => {
        checkReferenceOptions(options);
        await checkReferenceFile(io, options);
        const launch = await measureFromOptions(io, platform, options, options.plan);
        if (options.kernel !== undefined) {
          remark(io, 'note', 'kernel hashes bind only with firmware that checks them: see bootseal firmware lint');
        }
        if (options.reference !== undefined) await writeReference(io, options.reference, launch.results, options);
        else if (options.json === true) io.stdout.write(`${JSON.stringify(toJson(launch, options), null, 2)}\n`);
        else print(io, launch, options);
      });
  }
  if (wanted !== undefined && Object.hasOwn(PLATFORMS, wanted)) return command;
  const { measureTdxCommand } = await import('./measure-tdx.ts');
  const { measureIgvmCommand } = await import('./measure-igvm.ts');
  return command.addCommand(measureTdxCommand(io, EXAMPLES)).addCommand(measureIgvmCommand(io, EXAMPLES));
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

function print(io: Io, { results }: MeasuredLaunch, options: PrintOptions): void {
  const only = results.length === 1;
  for (const result of results) {
    const digest = digestText(result.digest, options.format);
    if (result.plan !== undefined) {
      io.stdout.write(`# ${describe(result)}\n`);
      for (const step of result.plan) io.stdout.write(`${stepLine(step, options.format)}\n`);
    }
    if (only) remark(io, 'note', describe(result));
    io.stdout.write(only ? `${digest}\n` : `${describe(result)} ${digest}\n`);
  }
}

function describe(result: Measured): string {
  const { profile, vcpus, cpu, features } = result;
  const parts = [`platform=${result.platform}`];
  if (profile !== undefined) parts.push(`profile=${profile.name}/${profile.version}`);
  if (vcpus !== undefined) parts.push(`vcpus=${vcpus}`);
  if (cpu !== undefined) parts.push(`cpu=${cpu.name ?? hex(cpu.signature)}`);
  if (features !== undefined) parts.push(`features=${hex(features)}`);
  return parts.join(' ');
}

function toJson(launch: MeasuredLaunch, options: PrintOptions): unknown {
  return {
    results: launch.results.map((result) => ({
      platform: result.platform,
      profile: result.profile?.name ?? null,
      profileVersion: result.profile?.version ?? null,
      vcpus: result.vcpus ?? null,
      cpu: result.cpu?.name ?? null,
      cpuSignature: result.cpu === undefined ? null : hex(result.cpu.signature),
      vmsaFeatures: result.features === undefined ? null : hex(result.features),
      digest: digestText(result.digest, options.format),
      ...(result.plan === undefined ? {} : planJson(launch, result, result.plan, options.format)),
    })),
    inputs: launch.inputs,
  };
}

/** The steps, and what they are made of: with both, `bootseal explain` says what differs from another launch. */
function planJson(
  { request }: MeasuredLaunch,
  { cpu, vcpus }: Measured,
  plan: readonly Step[],
  format: DigestFormat,
): object {
  const { kernelHashes, vmsas } = launchContents(request, cpu, vcpus);
  return {
    plan: plan.map((step) => stepJson(step, format)),
    kernelHashes:
      kernelHashes === undefined
        ? null
        : {
            kernel: bytesToHex(kernelHashes.kernel),
            initrd: bytesToHex(kernelHashes.initrd),
            cmdline: bytesToHex(kernelHashes.cmdline),
          },
    vmsas:
      vmsas === undefined
        ? null
        : { bsp: nonZeroFields(vmsas.bsp), ap: vmsas.ap === undefined ? null : nonZeroFields(vmsas.ap) },
  };
}
