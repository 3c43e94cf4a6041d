/** @module How the steps of a launch and its digest are printed, for every platform alike. */
import { type Command, Option } from 'commander';
import { bytesToBase64 } from '../core/base64.ts';
import { bytesToHex } from '../core/hex.ts';
import type { Step } from '../core/measurement/plan.ts';

/** How a digest is written. */
export type DigestFormat = 'hex' | 'base64';

/** What commander makes of the options of `addPrintOptions`. */
export interface PrintOptions {
  readonly format: DigestFormat;
  readonly plan?: boolean;
  readonly json?: boolean;
}

/** A step of any platform: only the names of their types differ. */
type AnyStep = Omit<Step, 'type'> & { readonly type: string };

/** Adds the options that say how a measured digest is printed. */
export function addPrintOptions(command: Command): Command {
  return command
    .addOption(new Option('--format <format>', 'how digests are written').choices(['hex', 'base64']).default('hex'))
    .option('--plan', 'print every step that enters the digest, with the digest after it')
    .option('--json', 'print one JSON object');
}

/** Returns a digest as text. */
export function digestText(digest: Uint8Array, format: DigestFormat): string {
  return format === 'hex' ? bytesToHex(digest) : bytesToBase64(digest);
}

/** Returns a step in one line for people. */
export function stepLine(step: AnyStep, format: DigestFormat): string {
  const gpa = step.gpa === undefined ? '-' : hex(step.gpa);
  return `${step.name.padEnd(14)} ${step.type.padEnd(10)} ${gpa.padEnd(16)} ${hex(step.length).padEnd(9)} ${digestText(step.digest, format)}`;
}

/** Returns a step for --json; docs/measure.md documents its keys. */
export function stepJson(step: AnyStep, format: DigestFormat): unknown {
  return {
    name: step.name,
    type: step.type,
    gpa: step.gpa === undefined ? null : hex(step.gpa),
    bytes: step.length,
    digest: digestText(step.digest, format),
  };
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;
