/** @module `bootseal secret build`: verify, mark the record used, write the packet; in this order, so that no crash allows two. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { type VerifiedLaunch, verifyAgainstRecord } from '../core/measurement/verify-launch.ts';
import { secretRoom } from '../core/secret/limits.ts';
import { SECRET_NAMES, secretName } from '../core/secret/names.ts';
import { sealPacket } from '../core/secret/packet.ts';
import type { Packet } from '../core/secret/packet-cipher.ts';
import { injectSecretCommand, packetTexts } from '../core/secret/packet-forms.ts';
import { buildSecretTable, type OwnerSecret, secretWarnings } from '../core/secret/table.ts';
import { allowsDebugging } from '../core/session/policy.ts';
import type { LaunchRecord } from '../core/session/record.ts';
import { type NewFile, rehearseNewFolder, writeNewFolder } from '../host/new-folder.ts';
import { orSpent, readRecord, useRecord } from '../host/record.ts';
import { type ApiOptions, addApiOptions, apiFromOptions } from './api-options.ts';
import { type Io, printableLines, remark, resolvePath } from './io.ts';
import { MEASUREMENT_HELP, printMeasurement, readMeasurement } from './measurement-input.ts';

import { outFolder } from './out-folder.ts';
import { withSearchProgress } from './search-progress.ts';
import { parseSecretArgument, readSecret, type SecretArgument } from './secret-argument.ts';

import { besideRecord, checkMarkable, readTransportKeys } from './transport-keys.ts';
import { launchJson, printLaunch, remarkRecord } from './verified-launch.ts';

interface Options extends ApiOptions {
  readonly record: string;
  readonly measurement: string;
  readonly secret: readonly SecretArgument[];
  readonly out: string;
  readonly tk?: string;
  readonly pad?: boolean;
  readonly insecureAllowDebug?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Returns the command. */
export function secretBuildCommand(io: Io): Command {
  const command = new Command('build')
    .summary('seal secrets to a verified launch')
    .description('Verify a launch measurement and seal secrets to that launch, once.')
    .requiredOption('--record <file>', 'record.json of the session; it is marked used')
    .requiredOption('--measurement <value>', MEASUREMENT_HELP)
    .requiredOption(
      '--secret <guid|name=path[,nul]>',
      'a secret and the file (or -) with its exact bytes; ",nul" adds a zero byte',
      collectSecret,
    )
    .requiredOption('--out <folder>', 'new folder for the packet in each form')
    .option('--tk <file>', 'transport keys of the session (default: tk beside the record)');
  return addApiOptions(command)
    .option('--pad', "fill the firmware's secret area, so that the packet does not tell how long the secrets are")
    .option('--insecure-allow-debug', 'seal secrets although the policy lets the host read the guest')
    .option('--force', 'replace the folder')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (options: Options) => build(io, options));
}

const HELP = `
Names of secrets: ${Object.keys(SECRET_NAMES).join(', ')}

Examples:
  bootseal secret build --record launch/record.json --measurement measurement.b64 \\
      --secret disk-passphrase=passphrase.txt --out packet
  bootseal secret build --record launch/record.json --measurement - --pad \\
      --secret disk-passphrase=key.bin --secret 0a46e24d-478c-4eb1-8696-113eeec3aa99=bundle.json,nul --out packet`;

const collectSecret = (text: string, before: readonly SecretArgument[] = []) => [...before, parseSecretArgument(text)];

async function build(io: Io, options: Options): Promise<void> {
  const api = apiFromOptions(options);
  checkMarkable(options);
  const recordFile = resolvePath(io, options.record);
  const tk = options.tk ?? besideRecord(options.record);
  const inputs = { '--record': options.record, '--tk': tk, '--measurement': options.measurement };
  const secretFiles = options.secret.map(({ guid, path }) => [`--secret ${guid}`, path]);
  const out = await outFolder(io, options.out, { ...inputs, ...Object.fromEntries(secretFiles) });
  const record = await readRecord(recordFile);
  checkDebugging(record.policy, options);
  const room = secretRoom(record.firmware.secretArea);
  const measurement = await readMeasurement(io, options.measurement);
  const keys = await readTransportKeys(io, options.tk, options.record);
  const secrets: OwnerSecret[] = [];
  let table: Uint8Array = new Uint8Array(0);
  try {
    const launch = withSearchProgress(io, (onTries) =>
      verifyAgainstRecord(record, keys.tik, measurement, api, onTries),
    );
    for (const secret of options.secret) secrets.push(await readSecret(io, secret));
    table = buildSecretTable(secrets, { room, pad: options.pad === true });
    remarkRecord(io, record, launch);
    for (const warning of secretWarnings(secrets)) remark(io, 'warning', warning);
    const packet = sealPacket({ launch, table, keys, iv: io.randomBytes(16) });
    const files = packetFiles(packet, record);
    const names = files.map(({ name }) => name);
    await rehearseNewFolder(out, names, options.force === true);
    // From here on the record is spent, also when writing fails: a second packet must never be possible.
    await useRecord(recordFile, resolvePath(io, tk), printMeasurement(measurement), io.now());
    await orSpent(() => writeNewFolder(out, files, options.force === true));
    report(io, options, launch, packet, secrets);
  } finally {
    wipe(keys.tek, keys.tik, table, ...secrets.map(({ value }) => value));
  }
}

/** That the owner accepted such a policy for an experiment does not say that secrets may go there. */
function checkDebugging(policy: number, { insecureAllowDebug = false }: Options): void {
  if (!allowsDebugging(policy) || insecureAllowDebug) return;
  throw new BootsealError(
    'usage',
    `the record's policy 0x${policy.toString(16)} lets the host read and change the guest's memory, secrets included`,
    { hint: 'make a session with the flag nodbg, or say --insecure-allow-debug when nothing in the packet is secret' },
  );
}

/** The packet in every form that something takes: base64 for virsh, one command for QMP, and the bytes. */
function packetFiles(packet: Packet, record: LaunchRecord): NewFile[] {
  const texts = packetTexts(packet);
  const files = {
    'header.b64': `${texts.header}\n`,
    'secret.b64': `${texts.secret}\n`,
    'header.bin': packet.header,
    'secret.bin': packet.payload,
    'qmp.json': `${JSON.stringify(injectSecretCommand(texts, record.firmware.secretArea?.base))}\n`,
  };
  return Object.entries(files).map(([name, bytes]) => ({ name, bytes, mode: 0o600 }));
}

function report(
  io: Io,
  options: Options,
  launch: VerifiedLaunch,
  packet: Packet,
  secrets: readonly OwnerSecret[],
): void {
  const written = secrets.map(({ guid, value, form }) => ({
    guid,
    name: secretName(guid) ?? null,
    form,
    bytes: value.length + (form === 'nul' ? 1 : 0),
  }));
  if (options.json === true) {
    const result = {
      out: options.out,
      launch: launchJson(launch),
      secrets: written,
      payloadBytes: packet.payload.length,
    };
    io.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const lines = written.map(
    ({ guid, name, form, bytes }) => `secret         ${guid} ${name ?? '-'}, ${bytes} bytes ${form}`,
  );
  io.stdout.write(printableLines([...printLaunch(launch), ...lines, `packet         ${options.out}`]));
}
