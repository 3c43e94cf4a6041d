/** @module `bootseal identify`: which launch gives this digest? */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import type { FoundLaunch } from '../core/identify/identify.ts';
import { type LeftOut, leftOutOf } from '../core/identify/left-out.ts';
import type { Wanted } from '../core/identify/wanted.ts';
import { searchInThreads, type ThreadedOutcome } from '../host/identify/search-in-threads.ts';
import { withSignals } from '../host/signals.ts';
import { addApiOptions } from './api-options.ts';
import { freeName } from './free-name.ts';
import { type Budget, budgetSpent, withBudget } from './identify-budget.ts';
import {
  coverageJson,
  coverageLines,
  leftOutLine,
  ruledOutJson,
  ruledOutLine,
  signedCovered,
  triedText,
} from './identify-coverage.ts';
import { hostSignature, NAMES_CPU } from './identify-cpus.ts';
import { type Evidence, type MeasurementOptions, readEvidence } from './identify-evidence.ts';
import { addScopeOptions, readScope, type Scope, type ScopeOptions } from './identify-scope.ts';
import {
  describeFinding,
  differences,
  findingJson,
  readsStdin,
  reproduction,
  signedLines,
  spentInputs,
} from './identify-text.ts';
import { type Io, printableLines, remark } from './io.ts';
import { ERASE } from './progress.ts';

interface Options extends ScopeOptions, MeasurementOptions {
  readonly json?: boolean;
  readonly budget?: string;
}

const HELP = `
The evidence is a digest (hexadecimal, base64, or a file), an SNP attestation report (also in Azure's container), or, with --tik,
a launch measurement of SEV or SEV-ES. Launches are tried around what you believe: all profiles, CPU models and 1 to 64 vCPUs,
with and without kernel hashes, with the usual slips in the command line, initrd and firmware.

Exit status: 0 found, 1 no launch of those that were tried gives this digest, 2 also when --budget ended the search.

Examples:
  bootseal identify report.bin --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd.img --cmdline "console=ttyS0"
  bootseal identify 7ebc8806… --firmware OVMF.fd --firmware OVMF.old.fd --cpu EPYC-v4,EPYC-Milan`;

/** Returns the command. */
export function identifyCommand(io: Io): Command {
  const command = new Command('identify')
    .description('Find the launch that gives a digest, among what you believe and its neighbours.')
    .argument('<evidence>', 'digest, report or launch measurement: text, a file, or -')
    .option('--tik <file>', 'the evidence is a launch measurement; transport integrity key, 16 bytes')
    .option(
      '--policy <policy>',
      'with --tik: flags (nodbg,noks), hexadecimal or decimal (default: all flags are tried)',
    );
  return addScopeOptions(addApiOptions(command))
    .option('--budget <seconds>', 'end after this time and print what was covered (default: search to the end)')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action((text: string, options: Options) => withBudget(options.budget, (budget) => run(io, text, options, budget)));
}

async function run(io: Io, text: string, options: Options, budget: Budget): Promise<void> {
  const evidence = await readEvidence(io, text, options);
  try {
    const scope = await readScope(io, options, evidence.report);
    const outcome = await withSignals(async (stop) => {
      const found = await search(io, evidence, scope, stop, budget);
      checkTried(found);
      print(io, { ...found, evidence }, inputFiles(text, options), options);
      return found;
    });
    conclude(outcome);
  } finally {
    evidence.wipe();
  }
}

/** What came of a search, and the seconds of the budget when that has ended it. */
interface Outcome extends ThreadedOutcome {
  readonly leftOut: readonly LeftOut[];
  readonly spent: number | undefined;
}

async function search(
  io: Io,
  { wanted, platforms }: Evidence,
  scope: Scope,
  signal: AbortSignal,
  budget: Budget,
): Promise<Outcome> {
  const outcome = await searchInThreads(
    { wanted, platforms, ...scope },
    {
      threads: scope.threads,
      stop: AbortSignal.any([signal, budget.spent]),
      onStart(most) {
        if (most > LONG) remark(io, 'note', longSearch(most));
      },
      onProgress(tried, most) {
        if (io.stderr.isTTY) io.stderr.write(`${ERASE}${tried} of at most ${most} launches tried`);
      },
    },
  );
  const leftOut = leftOutOf({ platforms, ...scope });
  return { ...outcome, leftOut, spent: outcome.stopped && !signal.aborted ? budget.seconds : undefined };
}

/** Launches that take minutes. */
const LONG = 1e9;

const longSearch = (most: number) =>
  `up to ${most} launches are tried: --cpu, --vcpus, --profile, --vmsa-features and fewer files make them fewer, --budget ends the search`;

function print(io: Io, outcome: Outcome & { evidence: Evidence }, inputs: readonly string[], { json }: Options): void {
  if (io.stderr.isTTY) io.stderr.write(ERASE);
  const { answer, evidence } = outcome;
  const { finding } = answer;
  const lines = finding === undefined ? null : reproduction(finding, (name) => freeName(io, inputs, name));
  if (json === true) io.stdout.write(`${JSON.stringify(toJson(outcome, lines), null, 2)}\n`);
  else {
    const result = finding === undefined ? unfound(outcome) : found(finding, evidence.wanted, lines ?? []);
    io.stdout.write(printableLines([...reportLines(evidence), ...result]));
  }
  if (finding !== undefined) remarkInputs(io, finding);
  if (evidence.report !== undefined) remark(io, 'note', REPORT_UNCHECKED);
}

function inputFiles(text: string, { firmware, svsm, kernel, initrd, cmdlineFile, tik }: Options): readonly string[] {
  const lists = [firmware, svsm, kernel, initrd, cmdlineFile].flatMap((files) => files ?? []);
  return [text, ...lists, ...(tik === undefined ? [] : [tik])];
}

function remarkInputs(io: Io, finding: FoundLaunch): void {
  if (readsStdin(finding)) remark(io, 'note', STDIN_AGAIN);
  const spent = spentInputs(finding);
  if (spent.length > 0)
    remark(
      io,
      'note',
      `the lines name ${spent.join(', ')}, which only identify could read: put the file's own name there`,
    );
}

const STDIN_AGAIN = 'the lines read standard input where identify did: give it to them again';

const REPORT_UNCHECKED =
  'only the measurement of the report was compared: its signature, policy, VMPL, host data and ID keys are yours to check';

function found(finding: FoundLaunch, wanted: Wanted, reproduce: readonly string[]): readonly string[] {
  const slips = differences(finding);
  return [
    `match      ${describeFinding(finding)}`,
    ...signedLines(finding, wanted),
    ...(slips.length === 0 ? ['differs    in nothing from what was given'] : slips.map((slip) => `differs    ${slip}`)),
    ...reproduce.map((line) => `reproduce  ${line}`),
  ];
}

function unfound({
  answer,
  coverage = [],
  leftOut,
  stopped,
  spent,
  evidence,
}: Outcome & { evidence: Evidence }): readonly string[] {
  return [
    `no match   ${triedText(coverage, stopped)}${spent === undefined ? '' : `, then the budget of ${spent} s was used up`}`,
    ...coverage.flatMap((one) => coverageLines(one, evidence.report)),
    ...leftOut.map(leftOutLine),
    ...signedCovered(coverage, evidence.wanted),
    ...answer.ruledOut.map(ruledOutLine),
  ];
}

function reportLines({ report }: Evidence): readonly string[] {
  if (report === undefined) return [];
  const { version, policy, measurement, cpuidFamily, cpuidModel, cpuidStepping } = report;
  const cpu =
    version >= NAMES_CPU ? `, host CPU family ${cpuidFamily} model ${cpuidModel} stepping ${cpuidStepping}` : '';
  return [
    `report     version ${version}, policy 0x${policy.toString(16)}, VMPL ${report.vmpl}${cpu}`,
    `measured   ${bytesToHex(measurement)}`,
  ];
}

function toJson(
  { answer, coverage, leftOut, stopped, evidence }: Outcome & { evidence: Evidence },
  reproduce: readonly string[] | null,
): unknown {
  const { finding, tried, ruledOut } = answer;
  return {
    match: finding === undefined ? null : findingJson(finding, evidence.wanted),
    reproduce,
    report: evidence.report === undefined ? null : reportJson(evidence.report),
    tried,
    stopped,
    covered: coverage === undefined ? null : coverageJson(coverage, leftOut, evidence.wanted),
    ruledOut: ruledOut.map(ruledOutJson),
  };
}

function reportJson(report: NonNullable<Evidence['report']>): unknown {
  const signature = hostSignature(report);
  return {
    version: report.version,
    policy: `0x${report.policy.toString(16)}`,
    vmpl: report.vmpl,
    measurement: bytesToHex(report.measurement),
    hostData: bytesToHex(report.hostData),
    idKeyDigest: bytesToHex(report.idKeyDigest),
    authorKeyDigest: bytesToHex(report.authorKeyDigest),
    cpuSignature: signature === undefined ? null : `0x${signature.toString(16)}`,
  };
}

/** Nothing tried is no mismatch. */
function checkTried({ answer: { tried, ruledOut }, stopped }: Outcome): void {
  if (tried > 0 || stopped) return;
  const [first] = ruledOut;
  if (first !== undefined)
    throw new BootsealError('format', `${first.firmware.name}: ${first.reason}`, {
      hint: 'give another firmware image: none of these can be measured',
    });
  throw new BootsealError(
    'usage',
    'nothing is left to try: the profiles and features that were given are of other platforms',
    {
      hint: 'SNP guests have bit 0 of --vmsa-features set, others have not; some profiles are for SNP only',
    },
  );
}

function conclude({ answer: { finding }, stopped, spent }: Outcome): void {
  if (finding === undefined && spent !== undefined) throw budgetSpent(spent);
  if (finding !== undefined || stopped) return;
  throw new BootsealError('mismatch', 'no launch of those that were tried gives this digest', {
    hint: 'give other firmware, kernels, initrds or command lines that the host may have used: options can be repeated',
  });
}
