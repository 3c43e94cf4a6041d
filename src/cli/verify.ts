/** @module `bootseal verify`: is what the platform measured what the owner expects? */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { isLegacy, printApi } from '../core/measurement/api-version.ts';
import type { LaunchMeasurement } from '../core/measurement/launch-measurement.ts';
import {
  type VerifiedLaunch,
  verifyAgainstRecord,
  verifyLaunchMeasurement,
} from '../core/measurement/verify-launch.ts';
import { expectedDigest } from '../core/session/create-record.ts';
import { checkPolicyPlatform, describePolicy, parsePolicy } from '../core/session/policy.ts';
import { type ExpectedDigest, type LaunchRecord, parseRecord, RECORD_LIMIT } from '../core/session/record.ts';
import { decodeUtf8 } from '../core/utf8.ts';
import { readRecord } from '../host/record.ts';
import { type ApiOptions, addApiOptions, apiFromOptions } from './api-options.ts';
import { type Io, readInput, remark, resolvePath } from './io.ts';
import { addMeasureOptions, type MeasureOptions, measureFromOptions } from './measure-options.ts';
import { MEASUREMENT_HELP, readMeasurement } from './measurement-input.ts';
import { withSearchProgress } from './search-progress.ts';
import { readTik, readTransportKeys } from './transport-keys.ts';
import { launchJson, printLaunch, remarkPolicy, remarkRecord } from './verified-launch.ts';
import { verifyCcelCommand } from './verify-ccel.ts';

type Platform = 'sev' | 'sev-es';

interface Options extends ApiOptions, Partial<MeasureOptions> {
  readonly record?: string;
  readonly platform?: string;
  readonly tik?: string;
  readonly tk?: string;
  readonly policy?: string;
  readonly digest?: string;
  readonly measurement: string;
  readonly json?: boolean;
}

/** What was verified, against what. */
interface Verdict {
  readonly platform: Platform;
  readonly policy: number;
  readonly launch: VerifiedLaunch;
}

const ALWAYS = ['tk', 'measurement', 'apiMajor', 'apiMinor', 'buildId', 'json'];
/** Options that go with `--record`, and those that go with `--digest`; any other would be ignored and is refused. */
const WITH_RECORD = ['record', ...ALWAYS];
const WITH_DIGEST = ['digest', 'platform', 'policy', 'tik', ...ALWAYS];

/** Returns the command. */
export function verifyCommand(io: Io): Command {
  const launch = new Command('launch')
    .summary('check a launch measurement of SEV or SEV-ES')
    .description('Check what the platform measured against a launch record, or against values given one by one.')
    .option('--record <file>', 'record.json of the session, or - (with --tk)')
    .option('--platform <name>', 'without a record: sev or sev-es')
    .option('--tik <file>', 'without a record: transport integrity key, 16 bytes')
    .option('--tk <file>', 'transport keys, TEK and TIK (default: tk beside the record)')
    .option('--policy <policy>', 'without a record: flags (nodbg,noks), hexadecimal or decimal')
    .option('--digest <hex>', 'without a record: the expected launch digest, instead of the files it is computed from')
    .requiredOption('--measurement <value>', MEASUREMENT_HELP);
  addMeasureOptions(addApiOptions(launch), { optional: true })
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (options: Options) => verifyLaunch(io, launch, options));
  return new Command('verify')
    .description('Check what a platform reports.')
    .addCommand(launch)
    .addCommand(verifyCcelCommand(io))
    .addHelpText('after', HELP);
}

const HELP = `
Exit status: 0 it matches, 1 it does not, 2 or 3 the input is no measurement.

Examples:
  bootseal verify launch --record launch/record.json --measurement measurement.b64
  virsh domlaunchsecinfo guest | awk '/^sev-measurement/ {print $2}' |
      bootseal verify launch --record launch/record.json --measurement -
  bootseal verify launch --platform sev --tik tik.bin --policy nodbg,noks --digest 4b47fec6… \\
      --api-major 1 --api-minor 55 --build-id 24 --measurement measurement.b64`;

async function verifyLaunch(io: Io, command: Command, options: Options): Promise<void> {
  const { record, digest } = options;
  if (record !== undefined) refuseIgnored(command, '--record', WITH_RECORD);
  else if (digest !== undefined) refuseIgnored(command, '--digest', WITH_DIGEST);
  const { platform, policy, launch } = await (record === undefined
    ? againstValues(io, options)
    : againstRecord(io, options, record));
  if (options.json === true) {
    io.stdout.write(`${JSON.stringify({ matches: true, platform, policy, launch: launchJson(launch) })}\n`);
    return;
  }
  const lines = [
    ...printLaunch(launch),
    `platform       ${platform}`,
    `policy         0x${policy.toString(16)} (${describePolicy(policy)})`,
  ];
  io.stdout.write(`${lines.join('\n')}\n`);
}

function refuseIgnored(command: Command, by: string, allowed: readonly string[]): void {
  const other = command.options.find((option) => {
    const key = option.attributeName();
    return !allowed.includes(key) && command.getOptionValueSource(key) === 'cli';
  });
  if (other === undefined) return;
  throw new BootsealError('usage', `${other.long} does not go with ${by}, which says what is expected`, {
    hint: 'leave one of them out',
  });
}

/** The keys lie beside a record that is a file. */
async function readRecordInput(io: Io, file: string, tk: string | undefined): Promise<LaunchRecord> {
  if (file !== '-') return readRecord(resolvePath(io, file));
  if (tk === undefined) {
    throw new BootsealError('usage', '--record - needs --tk: beside standard input are no keys', {
      hint: 'give --tk the file of that name in the folder of the record',
    });
  }
  return parseRecord(decodeUtf8(await readInput(io, file, RECORD_LIMIT), 'record'));
}

async function againstRecord(io: Io, options: Options, file: string): Promise<Verdict> {
  const api = apiFromOptions(options);
  const record = await readRecordInput(io, file, options.tk);
  const measurement = await readMeasurement(io, options.measurement);
  const { tek, tik } = await readTransportKeys(io, options.tk, file);
  try {
    const launch = withSearchProgress(io, (onTries) => verifyAgainstRecord(record, tik, measurement, api, onTries));
    remarkRecord(io, record, launch);
    if (record.used !== null) {
      remark(
        io,
        'note',
        `the record was used at ${record.used.at}: there is a packet for this launch, or one was lost`,
      );
    }
    return { platform: record.platform, policy: record.policy, launch };
  } finally {
    wipe(tek, tik);
  }
}

async function againstValues(io: Io, options: Options): Promise<Verdict> {
  const platform = parsePlatform(required(options.platform, '--platform'));
  const policy = parsePolicy(required(options.policy, '--policy'));
  checkPolicyPlatform(policy, platform);
  const api = required(apiFromOptions(options), '--api-major, --api-minor and --build-id');
  if (isLegacy(api)) {
    remark(io, 'warning', `API ${printApi(api)} is older than 0.17: its measurement does not cover the version`);
  }
  const measurement: LaunchMeasurement = await readMeasurement(io, options.measurement);
  const expected = await expectedDigests(io, platform, options);
  const tik = await explicitTik(io, options);
  try {
    const launch = verifyLaunchMeasurement({ tik, api, policy, expected }, measurement);
    remarkPolicy(io, policy);
    return { platform, policy, launch };
  } finally {
    wipe(tik);
  }
}

async function explicitTik(io: Io, { tik, tk }: Options): Promise<Uint8Array> {
  if ((tik === undefined) === (tk === undefined)) {
    throw new BootsealError('usage', 'without --record, one of --tik and --tk is needed', {
      hint: 'give --record, or the key that the measurement was made with',
    });
  }
  if (tik !== undefined) return readTik(io, tik);
  const keys = await readTransportKeys(io, tk);
  wipe(keys.tek);
  return keys.tik;
}

function parsePlatform(text: string): Platform {
  if (text === 'sev' || text === 'sev-es') return text;
  throw new BootsealError('usage', `--platform ${JSON.stringify(text.slice(0, 32))} is neither sev nor sev-es`, {
    hint: 'an SNP guest proves its launch with an attestation report instead',
  });
}

/** Returns `--digest`, or the digests of all guests that measure's options describe. */
async function expectedDigests(io: Io, platform: Platform, options: Options): Promise<readonly ExpectedDigest[]> {
  const { digest, firmware } = options;
  if ((digest === undefined) === (firmware === undefined)) {
    throw new BootsealError('usage', 'without --record, either --digest or --firmware is needed', {
      hint: 'give --record, or what was launched, or its digest',
    });
  }
  if (digest !== undefined) return [{ digest: parseDigest(digest) }];
  const { results } = await measureFromOptions(io, platform, { ...options, firmware: firmware ?? '' });
  return results.map(expectedDigest);
}

function parseDigest(text: string): string {
  const digits = text.toLowerCase().replace(/^0x/, '');
  if (/^[0-9a-f]{64}$/.test(digits)) return digits;
  const snp = /^[0-9a-f]{96}$/.test(digits) ? ', which would be an SNP digest' : '';
  throw new BootsealError('usage', `--digest needs 64 hexadecimal digits, got ${text.length} characters${snp}`, {
    hint: 'give the digest as measure prints it',
  });
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined)
    throw new BootsealError('usage', `without --record, ${what} must be given`, {
      hint: 'give --record, which holds all of it, or say it by options',
    });
  return value;
}
