/** @module `bootseal measure igvm`: the digest of a guest that is started from an IGVM file. */
import { Command, Option } from 'commander';
import { equalInConstantTime } from '../core/bytes.ts';
import { bytesToHex } from '../core/hex.ts';
import { type IgvmFile, MAX_IGVM_BYTES, parseIgvm } from '../core/igvm/file.ts';
import { type IgvmMeasured, measureIgvm } from '../core/measurement/igvm.ts';
import { type IgvmLoader, type IgvmPlatformName, LOADERS } from '../core/measurement/igvm-loaders.ts';
import { Vmsa } from '../core/measurement/vmsa.ts';
import { nonZeroFields } from '../core/measurement/vmsa-fields.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import type { HashedFile } from './booted-files.ts';
import { remarkOnIgvm, warningsIn } from './igvm-remarks.ts';
import { type Io, readInput, remark } from './io.ts';
import { addPrintOptions, type DigestFormat, digestText, type PrintOptions, stepJson, stepLine } from './plan-text.ts';

interface IgvmOptions extends PrintOptions {
  readonly platform?: IgvmPlatformName;
  readonly as?: IgvmLoader;
  readonly nativeZero?: boolean;
}

/** Builds the command; `examples` are those of all of `measure`. */
export function measureIgvmCommand(io: Io, examples: string): Command {
  const command = new Command('igvm')
    .description('digest of a guest that is started from an IGVM file, and where its loaders differ')
    .argument('<file>', 'the IGVM file, or - for standard input')
    .addOption(
      new Option(
        '--platform <platform>',
        'the platform that starts it (default: the first of these in the file)',
      ).choices(['snp', 'sev-es', 'sev', 'tdx']),
    )
    .addOption(
      new Option('--as <loader>', 'whose rules count where they differ (default: qemu, for tdx microsoft)').choices(
        Object.keys(LOADERS),
      ),
    )
    .option('--native-zero', 'pages without data as SNP zero pages, as igvmmeasure has it (with --as coconut)');
  return addPrintOptions(command)
    .addHelpText('after', examples)
    .action(async (name: string, options: IgvmOptions) => {
      const bytes = await readInput(io, name, MAX_IGVM_BYTES);
      const file = parseIgvm(bytes);
      const measured = measureIgvm(
        {
          file,
          platform: options.platform,
          loader: options.as,
          nativeZero: options.nativeZero,
          plan: options.plan,
        },
        nodeHashes,
      );
      remarkOnIgvm(io, measured, options.format);
      const read = { sha256: bytesToHex(nodeHashes.sha256(bytes)), bytes: bytes.length };
      if (options.json === true) io.stdout.write(`${JSON.stringify(toJson(file, measured, read, options), null, 2)}\n`);
      else print(io, measured, options);
    });
}

function print(io: Io, measured: IgvmMeasured, { format }: PrintOptions): void {
  const { platform, loader, vmsas, policy, plan } = measured;
  const vcpus = hasVcpus(platform) ? ` vcpus=${vmsas.length}` : '';
  const description = `platform=${platform} as=${loader}${vcpus}${policy === undefined ? '' : ` policy=${hexText(policy)}`}`;
  if (plan !== undefined) {
    io.stdout.write(`# ${description}\n`);
    for (const step of plan) io.stdout.write(`${stepLine(step, format)}\n`);
  }
  remark(io, 'note', description);
  io.stdout.write(`${digestText(measured.digest, format)}\n`);
}

const hexText = (value: bigint | number) => `0x${value.toString(16)}`;

/** Whether the digest of a platform has the state of vCPUs. */
const hasVcpus = (platform: IgvmPlatformName) => platform === 'snp' || platform === 'sev-es';

function toJson(file: IgvmFile, measured: IgvmMeasured, read: HashedFile, { format }: PrintOptions): object {
  const { platform, loader, vmsas, policy, idBlock, digest } = measured;
  const [first] = vmsas;
  const features = first === undefined ? undefined : Vmsa.unpack(first).sev_features;
  return {
    results: [
      {
        platform,
        as: loader,
        profile: null,
        profileVersion: null,
        vcpus: hasVcpus(platform) ? vmsas.length : null,
        cpu: null,
        cpuSignature: null,
        vmsaFeatures: features === undefined ? null : hexText(features),
        digest: digestText(digest, format),
        guestPolicy: policy === undefined ? null : hexText(policy),
        idBlock:
          idBlock === undefined
            ? null
            : { digest: digestText(idBlock, format), matches: equalInConstantTime(idBlock, digest) },
        differences: measured.differences,
        others: measured.others.map(({ loader: other, digest: its, stops }) => ({
          as: other,
          digest: its === undefined ? null : digestText(its, format),
          stops: stops ?? null,
        })),
        ifKvmResetsFpu: fpuJson(measured, format),
        warnings: warningsIn(measured, format),
        ...planJson(measured, format),
      },
    ],
    platforms: file.platforms.map(({ type }) => type),
    inputs: { igvm: read },
  };
}

function fpuJson({ ifKvmResetsFpu }: IgvmMeasured, format: DigestFormat): object | null {
  if (ifKvmResetsFpu === undefined) return null;
  const { mxcsr, x87Fcw, digest } = ifKvmResetsFpu;
  return { mxcsr: hexText(mxcsr), x87Fcw: hexText(x87Fcw), digest: digestText(digest, format) };
}

/** With the keys of the other platforms' plans, which `explain` reads; CPU state where all but the first are alike. */
function planJson({ plan, vmsas: [bsp, ...others] }: IgvmMeasured, format: DigestFormat): object {
  if (plan === undefined) return {};
  const [ap] = others;
  const alike = others.every((page) => ap !== undefined && equalInConstantTime(page, ap));
  return {
    plan: plan.map((step) => stepJson(step, format)),
    kernelHashes: null,
    vmsas:
      bsp === undefined || !alike ? null : { bsp: nonZeroFields(bsp), ap: ap === undefined ? null : nonZeroFields(ap) },
  };
}
