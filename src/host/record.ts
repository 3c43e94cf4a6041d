/** @module The record file on the owner's disk: reading it, and marking it used exactly once. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { type LaunchRecord, parseRecord, printRecord, RECORD_LIMIT } from '../core/session/record.ts';
import { readSmallFile } from './files.ts';
import { ioError } from './io-error.ts';
import { syncFolder, writeNewFile } from './new-file.ts';

/** Reads a `record.json`; throws `io` when the file cannot be read and `format` when it is no record. */
export async function readRecord(file: string): Promise<LaunchRecord> {
  return parseRecord(Buffer.from(await readSmallFile(file, RECORD_LIMIT)).toString('utf8'));
}

/**
 * Marks the record in `file` as used for one launch and returns it as it now stands on the disk; its transport keys in the file
 * `tk` are marked first, by a file `tk.used` beside them, so that a copy of the record does not serve again. Of any number of
 * callers, in this process or in others, one gets through. Call it before anything secret leaves: a crash then costs a launch,
 * never a second release.
 *
 * @param measurement what the packet is made for, base64 of the 48 bytes the platform reported
 * @throws `usage` when record or keys were used before, have a second name (hard link) that a mark would not reach, or are
 * locked by another run; `io` and `format` as {@link readRecord}; `io` as {@link orSpent} when the keys are marked and the record is not
 */
export async function useRecord(file: string, tk: string, measurement: string, now: Date): Promise<LaunchRecord> {
  const [real, keys] = [await realFile(file), await realFile(tk)];
  const lock = `${real}.lock`;
  await takeLock(lock);
  try {
    const record = await readRecord(real);
    if (record.used !== null) throw usedBefore(file, record.used);
    await refuseSecondName(real, file);
    await refuseSecondName(keys, tk);
    // Where a mark cannot be written (a record that is mounted by itself), that is known before the launch is spent.
    await writeNewFile(real, printRecord(record), 0o600, true);
    const mark = { at: now.toISOString(), measurement };
    const used: LaunchRecord = { ...record, used: mark };
    await markKeys(keys, tk, mark);
    await orSpent(async () => {
      await syncFolder(path.dirname(keys));
      await writeNewFile(real, printRecord(used), 0o600, true);
      await syncFolder(path.dirname(real));
    });
    return used;
  } finally {
    await fs.rm(lock, { force: true });
  }
}

/** Does what comes after a mark; throws `io` that says that no room made now brings the launch back. */
export async function orSpent<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'io') throw error;
    throw new BootsealError('io', error.message, { hint: SPENT, cause: error });
  }
}

const SPENT =
  'no secret has left, but the record is spent: make a new session in another folder, have the host start the guest again with it, and write where there is room';

/** Through a symbolic link, a rename would replace the link and leave the record unmarked, and the keys' mark would lie elsewhere. */
async function realFile(file: string): Promise<string> {
  return fs.realpath(file).catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
}

async function refuseSecondName(real: string, file: string): Promise<void> {
  const { nlink } = await fs.stat(real).catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
  if (nlink <= 1) return;
  throw new BootsealError('usage', `${file} has ${nlink} names (hard links)`, {
    hint: 'a record is good for one launch, and its mark would reach one name only: remove the other name',
  });
}

/** Only one caller can make the file, whatever copy of the record it came with. */
async function markKeys(real: string, tk: string, mark: NonNullable<LaunchRecord['used']>): Promise<void> {
  const name = `${real}.used`;
  try {
    await writeNewFile(name, `${JSON.stringify(mark)}\n`, 0o600);
  } catch (cause) {
    if (!(await isThere(name))) throw cause;
    throw new BootsealError('usage', `${tk} served a launch before: ${name} exists`, { hint: ONE_LAUNCH, cause });
  }
}

const isThere = async (name: string): Promise<boolean> =>
  fs.lstat(name).then(
    () => true,
    () => false,
  );

const ONE_LAUNCH =
  'keys and record serve one launch, and --force does not change that: make a new session with session create, in another folder, have the host start the guest again with its godh and session, and build the packet from its record';

function usedBefore(file: string, used: NonNullable<LaunchRecord['used']>): BootsealError {
  return new BootsealError('usage', `${file} was used at ${used.at} for the measurement ${used.measurement}`, {
    hint: ONE_LAUNCH,
  });
}

async function takeLock(lock: string): Promise<void> {
  try {
    await fs.writeFile(lock, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw ioError(cause, lock, 'write');
    // A lock is never broken by guessing that its owner is dead: two guesses at once would let two launches through.
    throw new BootsealError('usage', `the record is in use by another run: ${lock} exists`, {
      hint: 'wait for that run to end; if none is running, a killed one left the lock behind, and you may remove it',
      cause,
    });
  }
}
