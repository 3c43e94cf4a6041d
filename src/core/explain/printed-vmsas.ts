/**
 * @module VMSAs in a kernel's log, as KVM prints them in sev_es_sync_vmsa when dynamic debugging is on (Linux arch/x86/kvm/svm/sev.c,
 * print_hex_dump_debug without offsets).
 */
import { Vmsa } from '../measurement/vmsa.ts';

/** The line before the bytes of each. */
export const HEADING = 'Virtual Machine Save Area (VMSA):';

/** When a line was printed, in seconds: since the machine started, or since midnight. */
export interface LogTime {
  readonly since: 'boot' | 'midnight';
  readonly seconds: number;
}

/** One of them. */
export interface PrintedVmsa {
  /** Counts all of the log, from 0. */
  readonly index: number;
  /** 4096 bytes, zero behind those that were printed. */
  readonly page: Uint8Array;
  /** Bytes that were printed. */
  readonly length: number;
  /** Of its heading; undefined where the log has no times. */
  readonly time: LogTime | undefined;
  /** Of its last line. */
  readonly end: LogTime | undefined;
  /** Whether lines of bytes stand before it that no heading in the log has. */
  readonly isBehindLost: boolean;
}

/** Bytes in a line. */
const LINE = 16;

/** sizeof(struct sev_es_save_area): 0x408 bytes before its floating-point registers were declared in Linux, 0x670 since. */
export const PRINTED_SIZES: readonly number[] = [0x408, 0x670];

/** As many bytes at the end of a line as a line has, or as the last line of the smaller structure has. */
const BYTES = /(?<=^|[\s:\]])(?:(?:[0-9a-f]{2} ){15}|(?:[0-9a-f]{2} ){7})[0-9a-f]{2}$/;

/** What stands before bytes of something else: more of them, as in the `Code:` of an oops, or an offset. A time may look like it. */
const BEFORE_OTHERS = /\b(?:[0-9a-f]{2}>?|[0-9a-f]{4,16}:)[\s:\]]?$/;

/** Yields the VMSAs of a log. Other lines between theirs are left out: no other has as many bytes. */
export function* printedVmsas(log: Uint8Array): Generator<PrintedVmsa> {
  const lost = new Set<string>();
  let heading = '';
  let one: (PrintedVmsa & { length: number; end: LogTime | undefined }) | undefined;
  for (const line of linesOf(log)) {
    if (line.endsWith(HEADING)) {
      if (one !== undefined) yield one;
      heading = shapeOf(line);
      const index = one === undefined ? 0 : one.index + 1;
      const isBehindLost = one?.isBehindLost ?? [...lost].some((before) => isOfDump(before, heading));
      const time = timeOf(line);
      one = { index, page: new Uint8Array(Vmsa.size), length: 0, time, end: time, isBehindLost };
      continue;
    }
    const { before, digits } = bytesOf(line);
    if (one === undefined) {
      if (digits.length === LINE) lost.add(before);
    } else if (one.length < Vmsa.size && isOfDump(before, heading)) {
      if (digits.length !== LINE && one.length + digits.length !== PRINTED_SIZES[0]) continue;
      for (const two of digits) one.page[one.length++] = Number.parseInt(two, 16);
      one.end = timeOf(before) ?? one.end;
    }
  }
  if (one !== undefined) yield one;
}

function bytesOf(line: string): { readonly before: string; readonly digits: readonly string[] } {
  const found = BYTES.exec(line);
  if (found === null) return { before: '', digits: [] };
  return { before: line.slice(0, found.index), digits: found[0].split(' ') };
}

/** The heading has the same time and host before it, and perhaps a module behind them. */
function isOfDump(before: string, heading: string): boolean {
  return !BEFORE_OTHERS.test(before) || heading.startsWith(shapeOf(before));
}

/** Numbers, and the spaces that pad them, are of another length in other lines. */
const shapeOf = (text: string): string => text.replaceAll(/[0-9a-f]+/g, '0').replaceAll(/\s+/g, ' ');

/** `[  123.456789]` of dmesg, or the time of day of a journal and of dmesg --ctime. */
function timeOf(line: string): LogTime | undefined {
  const [, boot] = /\[ *(\d+\.\d+)/.exec(line) ?? [];
  if (boot !== undefined) return { since: 'boot', seconds: Number(boot) };
  const [, hours, minutes, seconds] = /(?:^|[\sT])(\d\d):(\d\d):(\d\d)(?!\d)/.exec(line) ?? [];
  if (hours === undefined) return undefined;
  return { since: 'midnight', seconds: 3600 * Number(hours) + 60 * Number(minutes) + Number(seconds) };
}

/** Of longer lines only the end can be of a dump; shorter ones than half a line of bytes hold nothing. */
const LONGEST_LINE = 512;
const SHORTEST_LINE = 3 * 8 - 1;

function* linesOf(bytes: Uint8Array): Generator<string> {
  let start = 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    if (end - start >= SHORTEST_LINE) {
      yield String.fromCharCode(...bytes.subarray(Math.max(start, end - LONGEST_LINE), end)).trimEnd();
    }
    start = end + 1;
  }
}
