/** @module The options that describe a launch to be measured, shared by every command that predicts a digest. */
import { type Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import { type CpuIdentity, cpuModel, cpuSignature } from '../core/measurement/cpu-models.ts';
import { defaultFeatures } from '../core/measurement/features.ts';
import {
  type Cpu,
  type Measured,
  type MeasuredFirmware,
  type MeasureRequest,
  measure,
  type Platform,
} from '../core/measurement/measure.ts';
import { findProfile, PROFILES, type Profile } from '../core/measurement/profiles.ts';
import { MAX_VCPUS } from '../core/measurement/vcpus.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { bootedFiles, type HashedFile } from './booted-files.ts';
import { readFirmware } from './firmware-input.ts';
import { type Io, readInput } from './io.ts';
import { checkFirmware, remarkOnIdleOptions, remarkOnKernel } from './measure-remarks.ts';
import { parseBigUnsigned, parseNumberList, parseUnsigned } from './numbers.ts';

/** What commander makes of the options of `addMeasureOptions`. */
export interface MeasureOptions {
  readonly firmware: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly cmdlineFile?: string;
  readonly stripNewline?: boolean;
  readonly vcpus?: string;
  readonly cpu?: string;
  readonly cpuSignature?: string;
  readonly cpuFamily?: string;
  readonly cpuModel?: string;
  readonly cpuStepping?: string;
  readonly profile?: string;
  readonly vmsaFeatures?: string;
  readonly svsm?: string;
  readonly varsSize?: string;
  readonly varsFile?: string;
  readonly unknownSections?: 'refuse' | 'zero';
}

/** Digests, and what they were computed from. */
export interface MeasuredLaunch {
  readonly request: MeasureRequest;
  readonly results: readonly Measured[];
  readonly firmware: MeasuredFirmware;
  /** Without its NUL; absent without a kernel. */
  readonly cmdline: Uint8Array | undefined;
  /** By role: firmware, kernel, initrd, cmdline, svsm. */
  readonly inputs: Readonly<Record<string, HashedFile>>;
}

/** Adds the options to `command`; `--firmware` is required unless `optional` is set, and may be a descriptor with `descriptor`. */
export function addMeasureOptions(command: Command, { optional = false, descriptor = false } = {}): Command {
  const other = descriptor ? ', or a descriptor of one' : '';
  const firmware = new Option('--firmware <file>', `OVMF image as the host loads it${other}`);
  return command
    .addOption(optional ? firmware : firmware.makeOptionMandatory())
    .option('--kernel <file>', 'kernel that is booted directly, with kernel-hashes=on')
    .option('--initrd <file>', 'its initrd')
    .option('--cmdline <text>', 'its command line, byte for byte')
    .option('--cmdline-file <file>', 'a file that holds the command line, byte for byte')
    .option('--strip-newline', 'leave out one newline at the end of --cmdline-file')
    .option('--vcpus <list>', `numbers of vCPUs present at launch: 4, or 1,2,8, or 1-16 (default: 1)`)
    .option('--cpu <names>', "QEMU's -cpu model, or several: EPYC-v4,EPYC-Milan")
    .option('--cpu-signature <n>', 'CPUID signature (function 1, EAX) instead of a model')
    .option('--cpu-family <n>', 'CPU family, with --cpu-model and --cpu-stepping')
    .option('--cpu-model <n>', 'CPU model number')
    .option('--cpu-stepping <n>', 'CPU stepping')
    .option('--profile <name>', `what the host adds: ${PROFILES.map(({ name }) => name).join(', ')} (default: qemu)`)
    .option('--vmsa-features <n>', 'SEV_FEATURES of the VMSA (default: 0x1 for snp, 0x0 for sev-es)')
    .option('--svsm <file>', 'COCONUT SVSM binary below the firmware (snp)')
    .option('--vars-size <bytes>', 'size of the variable store between firmware and SVSM')
    .option('--vars-file <file>', 'the variable store itself, for its size')
    .addOption(
      new Option(
        '--unknown-sections <how>',
        'SEV metadata sections of unknown type: refuse, or measure as zero pages like QEMU',
      )
        .choices(['refuse', 'zero'])
        .default('refuse'),
    );
}

/** Reads the inputs and measures. Throws as `measure` does, `io` for files, `usage` for options that do not go together. */
export async function measureFromOptions(
  io: Io,
  platform: Platform,
  options: MeasureOptions,
  plan = false,
): Promise<MeasuredLaunch> {
  const profile = findProfile(options.profile ?? 'qemu');
  const cpus = chosenCpus(options, profile, platform);
  const vcpus = parseNumberList(options.vcpus ?? '1', '--vcpus', 1, MAX_VCPUS);
  const features = chosenFeatures(platform, options);
  remarkOnIdleOptions(io, platform, profile, options);
  const { hashed: firmwareHash, ...firmware } = await readFirmware(io, options.firmware);
  checkFirmware(io, platform, profile, firmware, options);
  remarkOnKernel(io, platform, profile, options);
  const booted = await bootedFiles(io, options);
  const svsm = await chosenSvsm(io, options);
  const request: MeasureRequest = {
    platform,
    firmware,
    kernel: booted.hashes,
    profile,
    vcpus,
    cpus,
    features,
    svsm,
    unknownSections: options.unknownSections ?? 'refuse',
    plan,
  };
  const results = measure(request, nodeHashes);
  const files: Record<string, HashedFile> = { firmware: firmwareHash, ...booted.files };
  if (svsm !== undefined) {
    files['svsm'] = { sha256: bytesToHex(nodeHashes.sha256(svsm.image)), bytes: svsm.image.length };
  }
  return { request, results, firmware, cmdline: booted.cmdline, inputs: files };
}

function chosenFeatures(platform: Platform, options: MeasureOptions): bigint {
  if (options.vmsaFeatures !== undefined) return parseBigUnsigned(options.vmsaFeatures, '--vmsa-features');
  return platform === 'sev' ? 0n : defaultFeatures(platform);
}

function chosenCpus(options: MeasureOptions, profile: Profile, platform: Platform): readonly Cpu[] {
  const identity = [options.cpuFamily, options.cpuModel, options.cpuStepping];
  const given = [options.cpu, options.cpuSignature, identity.find((part) => part !== undefined)];
  const ways = given.filter((way) => way !== undefined).length;
  if (ways > 1) {
    throw new BootsealError('usage', '--cpu, --cpu-signature and --cpu-family/-model/-stepping exclude each other', {
      hint: 'give one of them',
    });
  }
  if (options.cpu !== undefined) {
    const cpus = [...new Set(options.cpu.split(','))].map((name) => ({
      name,
      signature: cpuSignature(cpuModel(name)),
    }));
    // Elsewhere all have one digest, which is of the first as of the others.
    return profile.cpuMatters && platform !== 'sev' ? cpus : cpus.slice(0, 1);
  }
  if (options.cpuSignature !== undefined) {
    return [{ name: undefined, signature: parseUnsigned(options.cpuSignature, '--cpu-signature', 0xffffffff) }];
  }
  if (ways === 1) return [{ name: undefined, signature: cpuSignature(identityOf(options)) }];
  if (profile.cpuMatters && platform !== 'sev') {
    throw new BootsealError('usage', `profile ${profile.name} needs the CPU model: RDX at reset is its signature`, {
      hint: "give QEMU's -cpu name as --cpu, such as EPYC-v4; with -cpu host give --cpu-family, --cpu-model and --cpu-stepping of the host",
    });
  }
  return [{ name: undefined, signature: 0 }];
}

function identityOf(options: MeasureOptions): CpuIdentity {
  const { cpuFamily, cpuModel: model, cpuStepping } = options;
  if (cpuFamily === undefined || model === undefined || cpuStepping === undefined) {
    throw new BootsealError('usage', '--cpu-family, --cpu-model and --cpu-stepping go together', {
      hint: 'give all three, or a name with --cpu',
    });
  }
  return {
    family: parseUnsigned(cpuFamily, '--cpu-family', 0xffff),
    model: parseUnsigned(model, '--cpu-model', 0xffff),
    stepping: parseUnsigned(cpuStepping, '--cpu-stepping', 0xffff),
  };
}

/** The largest variable store and SVSM that anybody builds fit many times. */
const SVSM_LIMIT = 64 << 20;

async function chosenSvsm(
  io: Io,
  options: MeasureOptions,
): Promise<{ readonly image: Uint8Array; readonly varsSize: number } | undefined> {
  const { svsm, varsSize, varsFile } = options;
  if (svsm === undefined) {
    if (varsSize === undefined && varsFile === undefined) return undefined;
    throw new BootsealError('usage', '--vars-size and --vars-file go with --svsm', {
      hint: 'give --svsm, or leave them out',
    });
  }
  if ((varsSize === undefined) === (varsFile === undefined)) {
    throw new BootsealError('usage', '--svsm needs either --vars-size or --vars-file', {
      hint: 'the variable store lies between the firmware and the SVSM; give 0 when the machine has none',
    });
  }
  const image = await readInput(io, svsm, SVSM_LIMIT);
  if (varsSize !== undefined) return { image, varsSize: parseUnsigned(varsSize, '--vars-size', SVSM_LIMIT) };
  return { image, varsSize: (await readInput(io, varsFile ?? '', SVSM_LIMIT)).length };
}
