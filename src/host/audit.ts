/** @module The owner's log of a launch: one JSON object a line, nothing secret in it, only ever added to. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { ioError } from './io-error.ts';
import { syncFolder } from './new-file.ts';

/** What happened. */
export type AuditEvent = 'refused' | 'sealed' | 'injected' | 'resumed';

/** One line. */
export interface AuditLine {
  readonly at: string;
  readonly event: AuditEvent;
  /** The host, as the owner reached it. */
  readonly host: string;
  /** Base64 of the 48 bytes. */
  readonly measurement: string;
  /** What was expected and found, or why it was refused. */
  readonly digest?: string;
  readonly reason?: string;
  /** GUIDs only. */
  readonly secrets?: readonly string[];
}

/** Adds a line, and waits until it is on the disk. Throws `io`. */
export async function addAuditLine(file: string, line: AuditLine): Promise<void> {
  try {
    const handle = await fs.open(file, 'a', 0o600);
    try {
      await handle.appendFile(`${JSON.stringify(line)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // The file may be new, or left by a run that did not come this far.
    await syncFolder(path.dirname(file));
  } catch (cause) {
    throw ioError(cause, file, 'write');
  }
}

/** Returns when `event` was logged for `measurement`; undefined when it was not, or when there is no log. */
export async function auditedAt(file: string, event: AuditEvent, measurement: string): Promise<string | undefined> {
  const text = await fs.readFile(file, 'utf8').catch(() => '');
  for (const line of text.split('\n').reverse()) {
    try {
      const found = JSON.parse(line) as Partial<AuditLine>;
      if (found.event === event && found.measurement === measurement) return found.at;
    } catch {
      // A line that a power cut has cut says nothing.
    }
  }
  return undefined;
}
