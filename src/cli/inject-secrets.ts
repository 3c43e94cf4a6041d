/**
 * @module The one way a secret leaves its owner for a running host: measurement, verification, one packet, injection, start. Every step
 * may break off, and the next run goes on where that is safe: the packet of a launch is made once and kept; what it is sent to is the
 * launch that it was made for, which its measurement tells, or nothing.
 */
import * as path from 'node:path';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { parseLaunchMeasurementText } from '../core/measurement/launch-measurement.ts';
import { type VerifiedLaunch, verifyAgainstRecord } from '../core/measurement/verify-launch.ts';
import { secretRoom } from '../core/secret/limits.ts';
import { sealPacket } from '../core/secret/packet.ts';
import { packetTexts } from '../core/secret/packet-forms.ts';
import { buildSecretTable, type OwnerSecret, secretWarnings } from '../core/secret/table.ts';
import { allowsDebugging } from '../core/session/policy.ts';
import type { LaunchRecord } from '../core/session/record.ts';
import { type AuditEvent, addAuditLine, auditedAt } from '../host/audit.ts';
import { type GuestStanding, type LaunchHost, NoPlace } from '../host/launch-host.ts';
import { readPacket, type SavedPacket, savePacket } from '../host/packet-file.ts';
import { readRecord, useRecord } from '../host/record.ts';
import { type Io, remark, resolvePath } from './io.ts';
import { printMeasurement } from './measurement-input.ts';
import { withSearchProgress } from './search-progress.ts';
import { readSecret, type SecretArgument } from './secret-argument.ts';
import { besideRecord, checkMarkable, readTransportKeys } from './transport-keys.ts';
import { launchJson, remarkRecord } from './verified-launch.ts';

/** What is injected, and by which record. */
export interface InjectOptions {
  readonly record: string;
  readonly secret: readonly SecretArgument[];
  readonly tk?: string;
  readonly pad?: boolean;
  readonly resume: boolean;
  readonly insecureAllowDebug?: boolean;
}

/** What was done. */
export interface Injected {
  readonly verified: VerifiedLaunch;
  /** The same for `--json`. */
  readonly launch: object;
  /** GUIDs. */
  readonly secrets: readonly string[];
  /** Whether an earlier run had sent the packet already, or tried to. */
  readonly again: boolean;
  /** Whether it was sent in this one: not to a guest that runs with it already. */
  readonly sent: boolean;
  readonly resumed: boolean;
}

/**
 * Throws `mismatch` for a launch that is not the record's, `usage` for a record that served another launch, `tool` when the guest is not
 * where a secret can be given to it, `io` when the host is lost.
 */
export async function injectSecrets(
  io: Io,
  connect: () => Promise<LaunchHost>,
  options: InjectOptions,
): Promise<Injected> {
  checkMarkable(options);
  const recordFile = resolvePath(io, options.record);
  const record = await readRecord(recordFile);
  checkRecord(record, options);
  const host = await connect();
  try {
    const next = async () => (record.used === null && !(await wasUsed(recordFile)) ? NOTHING_LEFT : SAME_AGAIN);
    return await converse(io, withNext(host, next), options, { recordFile, record });
  } finally {
    host.close();
  }
}

const UNTOLD = 'the host does not say which API version it has';

const NOTHING_LEFT = 'no secret has left, and the record is as it was: run the command again';
const SAME_AGAIN = 'run the same command again: the same packet is sent to the same launch, and no other is made';

const SPENT = `the record is spent: ${SAME_AGAIN}`;
const SPENT_ELSEWHERE =
  'the record is spent, and its one packet is for the guest whose measurement was shown: find that one and run the same command again, or prepare a new launch';

/** What follows when a line of the audit could not be written. */
const UNWRITTEN = {
  sealed: `no secret has left, but the record is spent: when that is mended, ${SAME_AGAIN}`,
  injected: `the guest has its secret and is still paused; the record is spent: when that is mended, ${SAME_AGAIN}`,
  resumed: 'the guest has its secret and runs: nothing else is left to do',
} as const;

/**
 * Returns the host, which when it is lost (`io`) says what `next` says: only then is it open what became of the secret, and that counts
 * for more than how it could be reached again. When it will not do what it is told, the record is spent, and it says that too; so it does
 * of a packet that the platform refuses.
 */
function withNext(host: LaunchHost, next: () => Promise<string>): LaunchHost {
  const heard = <T>(answer: Promise<T>): Promise<T> =>
    answer.catch(async (error: unknown) => {
      if (!(error instanceof BootsealError) || error.kind !== 'io') throw error;
      const first = error instanceof NoPlace ? `${error.hint}; ` : '';
      throw new BootsealError('io', error.message, { hint: `${first}${await next()}`, cause: error });
    });
  const done = (answer: Promise<void>): Promise<void> =>
    heard(answer).catch((error: unknown) => {
      if (!(error instanceof BootsealError) || error.kind === 'io') throw error;
      throw withMore(error, error.kind === 'mismatch' ? SPENT_ELSEWHERE : SPENT);
    });
  return {
    name: host.name,
    standing: () => heard(host.standing()),
    measurement: () => heard(host.measurement()),
    api: () => heard(host.api()),
    ready: () => heard(host.ready()),
    inject: (packet) => done(host.inject(packet)),
    resume: () => done(host.resume()),
    close: () => host.close(),
  };
}

/** Returns the error with more to its hint. */
function withMore(error: BootsealError, more: string): BootsealError {
  return new BootsealError(error.kind, error.message, { hint: `${error.hint}; ${more}`, cause: error });
}

const wasUsed = async (recordFile: string): Promise<boolean> => (await readRecord(recordFile)).used !== null;

/** That the owner accepted such a policy for an experiment does not say that secrets may go there. */
function checkRecord({ policy, firmware }: LaunchRecord, { insecureAllowDebug = false }: InjectOptions): void {
  if (allowsDebugging(policy) && !insecureAllowDebug) {
    throw new BootsealError(
      'usage',
      `the record's policy 0x${policy.toString(16)} lets the host read and change the guest's memory, secrets included`,
      {
        hint: 'prepare a launch with the flag nodbg, or say --insecure-allow-debug when nothing in the packet is secret',
      },
    );
  }
  secretRoom(firmware.secretArea);
}

interface Record {
  readonly recordFile: string;
  readonly record: LaunchRecord;
}

async function converse(io: Io, host: LaunchHost, options: InjectOptions, owner: Record): Promise<Injected> {
  const { recordFile, record } = owner;
  const beside = (name: string) => path.join(path.dirname(recordFile), name);
  const audit = beside('audit.jsonl');
  const standing = await host.standing();
  checkStanding(standing);
  const reported = parseLaunchMeasurementText(await host.measurement());
  const measurement = printMeasurement(reported);
  const note = (event: AuditEvent, more: { digest?: string; reason?: string; secrets?: readonly string[] } = {}) =>
    addAuditLine(audit, { at: io.now().toISOString(), event, host: host.name, measurement, ...more }).catch((error) =>
      Promise.reject(event === 'refused' ? error : withMore(error, UNWRITTEN[event])),
    );
  const saved = record.used === null ? undefined : await earlierPacket(record, beside('packet.json'), measurement);
  const keys = await readTransportKeys(io, options.tk, options.record);
  const secrets: OwnerSecret[] = [];
  let table: Uint8Array = new Uint8Array(0);
  try {
    const api = await host.api();
    const verified = await refusal(
      () => withSearchProgress(io, (onTries) => verifyAgainstRecord(record, keys.tik, reported, api, onTries), UNTOLD),
      (reason) => note('refused', { reason }),
    );
    remarkRecord(io, record, verified);
    if (standing === 'running') return await alreadyRuns(audit, measurement, verified, saved);
    await host.ready();
    // It is written down before each first try.
    const isTried = saved !== undefined && (await auditedAt(audit, 'sealed', measurement)) !== undefined;
    let packet = saved;
    if (packet !== undefined) {
      remark(io, 'note', `the packet of the earlier run is sent${isTried ? ' again' : ''}: no secret is read anew`);
    } else {
      for (const secret of options.secret) secrets.push(await readSecret(io, secret));
      for (const warning of secretWarnings(secrets)) remark(io, 'warning', warning);
      table = buildSecretTable(secrets, { room: secretRoom(record.firmware.secretArea), pad: options.pad === true });
      const sealed = sealPacket({ launch: verified, table, keys, iv: io.randomBytes(16) });
      packet = {
        format: 'bootseal-packet-1',
        measurement,
        ...packetTexts(sealed),
        gpa: record.firmware.secretArea?.base ?? 0,
        secrets: secrets.map(({ guid }) => guid),
      };
      // From here on the record is spent, also when the rest fails: a second packet must never be possible.
      await useRecord(recordFile, resolvePath(io, options.tk ?? besideRecord(options.record)), measurement, io.now());
      await savePacket(beside('packet.json'), packet);
    }
    // Written down before it leaves; an earlier run may have ended in between.
    if (!isTried) await note('sealed', { digest: verified.expected.digest, secrets: packet.secrets });
    await host.inject(packet);
    await note('injected');
    if (options.resume) {
      await host.resume();
      await note('resumed');
    }
    return { ...done(verified, packet), again: isTried, sent: true, resumed: options.resume };
  } finally {
    wipe(keys.tek, keys.tik, table, ...secrets.map(({ value }) => value));
  }
}

function checkStanding(standing: GuestStanding): void {
  if (standing === 'waiting' || standing === 'running') return;
  throw new BootsealError('tool', `the host has no guest that waits for a secret: it says ${standing.other}`, {
    hint: 'the guest must be started paused (QEMU -S, virsh create --paused) with SEV or SEV-ES',
  });
}

/** Returns the packet that was made for this very launch; a record without one, or with one for another, has served. */
async function earlierPacket({ used }: LaunchRecord, file: string, measurement: string): Promise<SavedPacket> {
  const packet = await readPacket(file);
  if (packet !== undefined && packet.measurement === measurement && used?.measurement === measurement) return packet;
  const why = packet === undefined ? 'its packet is gone' : 'this is another launch';
  throw new BootsealError(
    'usage',
    `the record was used at ${used?.at} for the measurement ${used?.measurement}, and ${why}`,
    {
      hint: 'a record is good for one launch: prepare a new one and start the guest again with it',
    },
  );
}

/** A guest that runs cannot be given anything; that it runs may be the end of an earlier run, or the host's doing. */
async function alreadyRuns(
  audit: string,
  measurement: string,
  verified: VerifiedLaunch,
  saved: SavedPacket | undefined,
): Promise<Injected> {
  const at = saved === undefined ? undefined : await auditedAt(audit, 'injected', measurement);
  if (saved !== undefined && at !== undefined)
    return { ...done(verified, saved), again: true, sent: false, resumed: true };
  const what = saved === undefined ? 'without waiting for a secret' : 'and nobody knows whether with the secret';
  throw new BootsealError('tool', `the guest runs already, ${what}`, {
    hint: 'a secret can only be given to a paused guest: prepare a new launch and start the guest paused',
  });
}

function done(verified: VerifiedLaunch, { secrets }: SavedPacket): Pick<Injected, 'verified' | 'launch' | 'secrets'> {
  return { verified, launch: launchJson(verified), secrets };
}

async function refusal<T>(work: () => T, note: (reason: string) => Promise<void>): Promise<T> {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'mismatch') throw error;
    // That the guest is another one counts for more than that it could not be written down.
    const unwritten = await note(error.message).catch((reason: BootsealError) => reason);
    throw unwritten === undefined ? error : withMore(error, `also, ${unwritten.message}`);
  }
}
