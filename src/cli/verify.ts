/** @module `bootseal verify`: is what the platform measured what the owner expects? */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { hexToBytes } from '../core/hex.ts';
import { isLegacy, printApi } from '../core/measurement/api-version.ts';
import type { LaunchMeasurement } from '../core/measurement/launch-measurement.ts';
import {
  type VerifiedLaunch,
  verifyAgainstRecord,
  verifyLaunchMeasurement,
} from '../core/measurement/verify-launch.ts';
import { describePolicy, POLICY_FLAGS, parsePolicy } from '../core/session/policy.ts';
import { readRecord } from '../host/record.ts';
import { type ApiOptions, addApiOptions, apiFromOptions } from './api-options.ts';
import { type Io, remark, resolvePath } from './io.ts';
import { MEASUREMENT_HELP, readMeasurement } from './measurement-input.ts';
import { besideRecord, readTik, readTransportKeys } from './transport-keys.ts';
import { launchJson, printLaunch, remarkRecord } from './verified-launch.ts';

type Platform = 'sev' | 'sev-es';

interface Options extends ApiOptions {
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

/** Options that belong to `--record`; with it, every other one would be ignored and is refused. */
const RECORD_OPTIONS = ['record', 'tk', 'measurement', 'apiMajor', 'apiMinor', 'buildId', 'json'];

/** Returns the command. */
export function verifyCommand(io: Io): Command {
  const launch = new Command('launch')
    .summary('check a launch measurement of SEV or SEV-ES')
    .description('Check what the platform measured against a launch record, or against values given one by one.')
    .option('--record <file>', 'record.json of the session')
    .option('--platform <name>', 'without a record: sev or sev-es')
    .option('--tik <file>', 'without a record: transport integrity key, 16 bytes')
    .option('--tk <file>', 'transport keys, TEK and TIK (default: tk beside the record)')
    .option('--policy <policy>', 'without a record: flags (nodbg,noks), hexadecimal or decimal')
    .option('--digest <hex>', 'without a record: the expected launch digest')
    .requiredOption('--measurement <value>', MEASUREMENT_HELP);
  addApiOptions(launch)
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (options: Options) => verifyLaunch(io, launch, options));
  return new Command('verify').description('Check what a platform reports.').addCommand(launch);
}

const HELP = `
Exit status: 0 it matches, 1 it does not, 2 or 3 the input is no measurement.

Examples:
  bootseal verify launch --record launch/record.json --measurement measurement.b64
  virsh domlaunchsecinfo guest | awk '/^sev-measurement/ {print $3}' |
      bootseal verify launch --record launch/record.json --measurement -
  bootseal verify launch --platform sev --tik tik.bin --policy nodbg,noks --digest 4b47fec6… \\
      --api-major 1 --api-minor 55 --build-id 24 --measurement measurement.b64`;

async function verifyLaunch(io: Io, command: Command, options: Options): Promise<void> {
  const { platform, policy, launch } =
    options.record === undefined
      ? await againstValues(io, options)
      : await againstRecord(io, command, options, options.record);
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

async function againstRecord(io: Io, command: Command, options: Options, file: string): Promise<Verdict> {
  for (const { attributeName, long } of command.options.map((option) => ({
    attributeName: option.attributeName(),
    long: option.long,
  }))) {
    if (!RECORD_OPTIONS.includes(attributeName) && command.getOptionValueSource(attributeName) === 'cli') {
      throw new BootsealError('usage', `${long} and --record exclude each other: the record says what is expected`);
    }
  }
  const api = apiFromOptions(options);
  const record = await readRecord(resolvePath(io, file));
  const measurement = await readMeasurement(io, options.measurement);
  const { tek, tik } = await readTransportKeys(io, options.tk ?? besideRecord(file));
  try {
    const launch = verifyAgainstRecord(record, tik, measurement, api);
    remarkRecord(io, record);
    return { platform: record.platform, policy: record.policy, launch };
  } finally {
    wipe(tek, tik);
  }
}

async function againstValues(io: Io, options: Options): Promise<Verdict> {
  const platform = parsePlatform(required(options.platform, '--platform'));
  const policy = parsePolicy(required(options.policy, '--policy'));
  const api = required(apiFromOptions(options), '--api-major, --api-minor and --build-id');
  const digest = parseDigest(required(options.digest, '--digest'));
  if ((platform === 'sev-es') !== ((policy & POLICY_FLAGS.es) !== 0)) {
    remark(
      io,
      'warning',
      `QEMU starts an SEV-ES guest when the policy has the flag es: ${describePolicy(policy)} does not go with ${platform}`,
    );
  }
  if (isLegacy(api)) {
    remark(
      io,
      'warning',
      `API ${printApi(api)} is older than 0.17: its measurement proves neither its version nor protects packets`,
    );
  }
  const measurement: LaunchMeasurement = await readMeasurement(io, options.measurement);
  const tik = await explicitTik(io, options);
  try {
    return { platform, policy, launch: verifyLaunchMeasurement({ tik, api, policy, digest }, measurement) };
  } finally {
    wipe(tik);
  }
}

async function explicitTik(io: Io, { tik, tk }: Options): Promise<Uint8Array> {
  if ((tik === undefined) === (tk === undefined)) {
    throw new BootsealError('usage', 'without --record, one of --tik and --tk is needed');
  }
  if (tik !== undefined) return readTik(io, tik);
  const keys = await readTransportKeys(io, tk ?? '');
  wipe(keys.tek);
  return keys.tik;
}

function parsePlatform(text: string): Platform {
  if (text === 'sev' || text === 'sev-es') return text;
  throw new BootsealError('usage', `--platform ${JSON.stringify(text.slice(0, 32))} is neither sev nor sev-es`, {
    hint: 'an SNP guest proves its launch with an attestation report instead',
  });
}

function parseDigest(text: string): Uint8Array {
  if (/^(0x)?[0-9a-f]{64}$/i.test(text)) return hexToBytes(text);
  const snp = /^(0x)?[0-9a-f]{96}$/i.test(text) ? ', which would be an SNP digest' : '';
  throw new BootsealError('usage', `--digest needs 64 hexadecimal digits, got ${text.length} characters${snp}`);
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new BootsealError('usage', `without --record, ${what} must be given`);
  return value;
}
