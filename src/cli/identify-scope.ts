/** @module The options of `identify` that say what the owner believes, and how far to look around it. */
import type { Command } from 'commander';
import type { Report } from '../core/attestation/snp-report.ts';
import { BootsealError } from '../core/errors.ts';
import { MAX_FIRMWARE_BYTES } from '../core/firmware/firmware.ts';
import { bytesToHex } from '../core/hex.ts';
import { type Boot, possibleBoots } from '../core/identify/boots.ts';
import { type BelievedSvsm, type FirmwareCandidate, firmwareCandidates } from '../core/identify/firmware-candidates.ts';
import { countKataLines } from '../core/identify/kata-words.ts';
import type { VcpuScope } from '../core/identify/vcpu-candidates.ts';
import { checkFeatures } from '../core/measurement/features.ts';
import { findProfile, PROFILES, type Profile, SNP_MEASURE_SVSM } from '../core/measurement/profiles.ts';
import { MAX_VCPUS } from '../core/measurement/vcpus.ts';
import { MOST_THREADS } from '../host/identify/search-in-threads.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { believedKernel } from './believed-kernel.ts';
import { commandLine, hashInput } from './booted-files.ts';
import { type CpuOptions, chosenCpus } from './identify-cpus.ts';
import { believedFirmware } from './identify-firmware.ts';
import { addKataOptions, type KataOptions, kataBelief } from './identify-kata.ts';
import { type Io, readInput } from './io.ts';
import { parseBigUnsigned, parseUnsigned } from './numbers.ts';

/** What commander makes of the options. */
export interface ScopeOptions extends KataOptions, CpuOptions {
  readonly firmware: readonly string[];
  readonly kernel?: readonly string[];
  readonly initrd?: readonly string[];
  readonly cmdline?: readonly string[];
  readonly cmdlineFile?: readonly string[];
  readonly vcpus: string;
  readonly profile?: string;
  readonly svsm?: readonly string[];
  readonly varsSize?: string;
  readonly vmsaFeatures?: string;
  readonly threads?: string;
}

/** Where to search. */
export interface Scope {
  readonly firmware: readonly FirmwareCandidate[];
  readonly boots: readonly Boot[];
  readonly vcpus: VcpuScope;
  /** Undefined for one thread on each processor. */
  readonly threads: number | undefined;
}

/** Nothing, DebugSwap, SecureTSC, both; with SNP_ACTIVE for SNP (AMD APM volume 2, table B-4). */
const FEATURES = [0x1n, 0x21n, 0x201n, 0x221n, 0x0n, 0x20n];

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Adds the options; those for files can be repeated. */
export function addScopeOptions(command: Command): Command {
  command
    .requiredOption(
      '--firmware <file>',
      'OVMF image as the host may have loaded it, or a descriptor (repeatable)',
      collect,
    )
    .option('--kernel <file>', 'kernel that may have been booted directly (repeatable)', collect)
    .option('--initrd <file>', 'its initrd (repeatable)', collect)
    .option('--cmdline <text>', 'its command line (repeatable)', collect)
    .option('--cmdline-file <file>', 'a file that holds a command line, byte for byte (repeatable)', collect)
    .option('--vcpus <n>', 'look at guests with 1 to n vCPUs', '64')
    .option(
      '--cpu <names>',
      "QEMU's -cpu models to look at: EPYC-v4,EPYC-Milan (default: all, and the CPU that a report names)",
    )
    .option('--cpu-signature <list>', 'CPUID signatures to look at instead')
    .option('--profile <names>', `profiles to look at: ${PROFILES.map(({ name }) => name).join(',')} (default: all)`)
    .option('--svsm <file>', 'COCONUT SVSM binary that may run below the firmware (repeatable)', collect)
    .option('--vars-size <list>', 'with --svsm: sizes of the variable store between them (default: the usual ones)')
    .option('--vmsa-features <list>', 'SEV_FEATURES to look at (default: with and without DebugSwap and SecureTSC)')
    .option('--threads <n>', 'processors to search on (default: all)');
  return addKataOptions(command, collect);
}

/** Reads the files and returns where to search around what is believed and `report` says; throws `usage`, `io`, and `format` for firmware with broken tables. */
export async function readScope(io: Io, options: ScopeOptions, report?: Report): Promise<Scope> {
  const vcpus: VcpuScope = {
    profiles: chosenProfiles(options),
    cpus: chosenCpus(options, report),
    features: once(options.vmsaFeatures?.split(',').map(parseFeatures) ?? FEATURES, String),
    mostVcpus: mostVcpus(options.vcpus),
  };
  const different = await believedFirmware(io, options.firmware);
  return {
    firmware: firmwareCandidates(different, await believedSvsms(io, options)),
    boots: await believedBoots(io, options, different.length),
    vcpus,
    threads: threads(options),
  };
}

/** Leaves out what has the key of one before it: nothing is searched twice. */
function once<T>(given: readonly T[], key: (one: T) => string): readonly T[] {
  const first = new Map<string, T>();
  for (const one of given) if (!first.has(key(one))) first.set(key(one), one);
  return [...first.values()];
}

const sha256Of = ({ sha256 }: { readonly sha256: Uint8Array }) => bytesToHex(sha256);

/** With an SVSM also what no host does and a well-known tool predicts. */
function chosenProfiles({ profile: names, svsm }: ScopeOptions): readonly Profile[] {
  if (names !== undefined) {
    const profiles = once(names.split(','), String).map(findProfile);
    if (svsm !== undefined || !profiles.includes(SNP_MEASURE_SVSM)) return profiles;
    throw new BootsealError('usage', `--profile ${SNP_MEASURE_SVSM.name} is about an SVSM below the firmware`, {
      hint: 'give the SVSM with --svsm, or leave that profile out',
    });
  }
  return svsm === undefined ? PROFILES : [...PROFILES, SNP_MEASURE_SVSM];
}

async function believedSvsms(io: Io, { svsm: files = [], varsSize }: ScopeOptions): Promise<readonly BelievedSvsm[]> {
  if (varsSize !== undefined && files.length === 0) {
    throw new BootsealError('usage', '--vars-size goes with --svsm', { hint: 'give --svsm too, or leave it out' });
  }
  const varsSizes = varsSize?.split(',').map((text) => parseUnsigned(text, '--vars-size', 2 ** 32)) ?? VARS_SIZES;
  const svsms = [];
  for (const name of files) svsms.push({ name, image: await readInput(io, name, MAX_FIRMWARE_BYTES), varsSizes });
  return once(svsms, ({ image }) => bytesToHex(nodeHashes.sha256(image)));
}

/** Of 4 MiB builds, of smaller ones, and none: a build whose variables are in the firmware that is given. */
const VARS_SIZES = [0x84000, 0x20000, 0];

/** Bit 0 says which platform the word is for. */
function parseFeatures(text: string): bigint {
  const word = parseBigUnsigned(text, '--vmsa-features');
  checkFeatures((word & 1n) === 1n ? 'snp' : 'sev-es', word);
  return word;
}

function threads({ threads: text }: ScopeOptions): number | undefined {
  if (text === undefined) return undefined;
  const count = parseUnsigned(text, '--threads', MOST_THREADS);
  if (count > 0) return count;
  throw new BootsealError('usage', '--threads 0: a search needs one', {
    hint: 'leave it out to search on all processors',
  });
}

function mostVcpus(text: string): number {
  const most = parseUnsigned(text, '--vcpus', MAX_VCPUS);
  if (most > 0) return most;
  throw new BootsealError('usage', '--vcpus 0: a guest has at least one', { hint: 'leave 0 out of the list' });
}

/** Of firmware, kernel, initrd and command line: each has several neighbours, and all are held in memory. */
const MOST_COMBINATIONS = 4000;

function checkCombinations(combinations: number): void {
  if (combinations <= MOST_COMBINATIONS) return;
  throw new BootsealError(
    'usage',
    `${combinations} combinations of --firmware, --kernel, --initrd and --cmdline: at most ${MOST_COMBINATIONS} are searched at once`,
    { hint: 'search several times, each time with some of the kernels, initrds or command lines' },
  );
}

const atLeastOne = (given: readonly unknown[]) => Math.max(1, given.length);

/** As many take 1 GiB; each goes with each firmware. */
const MOST_KATA_LINES = 20_000;

function checkKataLines(lines: number, firmware: number): void {
  if (lines * firmware <= MOST_KATA_LINES) return;
  const each = firmware === 1 ? '' : ` for each of ${firmware} firmware images`;
  throw new BootsealError(
    'usage',
    `--kata makes ${lines} command lines${each}: at most ${MOST_KATA_LINES} are searched at once`,
    {
      hint: 'give a smaller number to --vcpus, or search several times, each time with some of the files and command lines',
    },
  );
}

async function believedBoots(io: Io, options: ScopeOptions, firmware: number): Promise<readonly Boot[]> {
  const { kernel = [], initrd = [], cmdline = [], cmdlineFile = [] } = options;
  if (kernel.length === 0 && options.kata === true) {
    throw new BootsealError('usage', '--kata is about a command line, which is measured only together with --kernel', {
      hint: 'give the kernel of Kata with --kernel',
    });
  }
  if (kernel.length === 0 && initrd.length + cmdline.length + cmdlineFile.length > 0) {
    throw new BootsealError('usage', 'an initrd or command line is measured only together with --kernel', {
      hint: 'give the kernels that the host may have used with --kernel',
    });
  }
  const cmdlines: Uint8Array[] = [];
  for (const text of cmdline) cmdlines.push(await commandLine(io, { cmdline: text }));
  for (const file of cmdlineFile) cmdlines.push(await commandLine(io, { cmdlineFile: file }));
  const given = [];
  for (const name of initrd) {
    const { hash, file } = await hashInput(io, name);
    given.push({ name, sha256: hash, bytes: file.bytes });
  }
  const initrds = once(given, sha256Of);
  const kernels = [];
  for (const name of kernel) kernels.push(await believedKernel(io, name, initrds));
  const different = once(kernels, sha256Of);
  const ways = different.length * atLeastOne(initrds) * atLeastOne(once(cmdlines, bytesToHex));
  checkCombinations(firmware * ways);
  const kata = kataBelief(options, mostVcpus(options.vcpus));
  const { kataVcpus, kataVerity: verity = [] } = kata;
  if (kataVcpus !== undefined) {
    checkKataLines(ways * countKataLines({ withInitrd: initrds.length > 0, mostVcpus: kataVcpus, verity }), firmware);
  }
  return possibleBoots({ kernels: different, initrds, cmdlines, ...kata }, nodeHashes);
}
