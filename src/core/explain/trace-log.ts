/**
 * @module What a host's QEMU did, from its trace lines (QEMU target/i386/trace-events, `-trace 'kvm_sev*'`), with whatever a log
 * puts before and between them. Today's form has `src`, AMD's trees before QEMU 9.1 had `addr`, and first ones no address and the
 * number of the type.
 */
import { base64ToBytes } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import type { Platform } from '../measurement/measure.ts';
import type { StepType } from '../measurement/plan.ts';
import { type AccountStep, type LaunchAccount, NO_ACCOUNT, splitSteps } from './account.ts';
import { type LastLaunch, lastLaunchOf, type TraceEvent } from './trace-launches.ts';

/** What the lines say. */
export interface TraceLog {
  readonly account: LaunchAccount;
  /** Launches in the log, of which the last is told. */
  readonly launches: number;
  /** The launch measurement of SEV and SEV-ES as QEMU prints it, base64. */
  readonly measurement: string | undefined;
}

/** Far more than any firmware has sections. */
const MOST_STEPS = 4096;
/** KVM takes large regions in turns, and machines are started again and again. */
const MOST_EVENTS = 2 ** 18;

/** QEMU's log backend puts `PID@SECONDS.MICROSECONDS:` before the event. */
const EVENT = /(?:^|[\s:])kvm_sev_(snp_)?launch_(start|update|update_data|measurement|finish)(?:[ \t](.*))?$/s;
const PROCESS = /(?:^|\s)([0-9]{1,10})@[0-9]+\.[0-9]+:kvm_sev_/;

const UPDATE =
  /^(?:src|addr) (?:0x[0-9a-f]+|\(nil\)) (?:gpa 0x([0-9a-f]{1,16}) )?len 0x([0-9a-f]{1,16}) (?:\(([A-Za-z]+) page\)|type ([0-9]+))$/;
const UPDATE_DATA = /^addr (?:0x[0-9a-f]+|\(nil\)) len 0x([0-9a-f]{1,16})$/;

const TYPES: readonly StepType[] = ['normal', 'vmsa', 'zero', 'unmeasured', 'secrets', 'cpuid'];

/** Reads a log; throws `format` when it tells of no launch, of several programs at once, each line twice, or what no QEMU prints. */
export function parseTraceLog(text: string): TraceLog {
  const { events, unended } = readEvents(text);
  const [first] = events;
  if (first === undefined) {
    throw new BootsealError('format', 'the log has no line of QEMU’s trace events of a launch', {
      hint: "have QEMU started with -trace 'kvm_sev*' (libvirt: <qemu:arg> in the domain), and give what it printed",
    });
  }
  refuseMixed(events);
  return readLaunch(lastLaunchOf(events), unended);
}

/** Programs one after another are launches one after another; lines of two that were started at the same time are not parted here. */
function refuseMixed(events: readonly TraceEvent[]): void {
  const processes = events.flatMap(({ process }) => (process === undefined ? [] : [process]));
  const turns = processes.filter((process, i) => process !== processes[i - 1]);
  if (new Set(turns).size === turns.length) return;
  const last = turns.at(-1);
  const other = turns.find((process) => process !== last);
  throw new BootsealError(
    'format',
    `the log has launches of several processes at the same time, ${other} and ${last}`,
    {
      hint: `give those of one: grep '${last}@' LOG`,
    },
  );
}

/** The events, and whether the text ends in the middle of one. */
function readEvents(text: string): { readonly events: readonly TraceEvent[]; readonly unended: boolean } {
  const events: TraceEvent[] = [];
  let lines = 0;
  for (const line of linesOf(text)) {
    lines++;
    const found = EVENT.exec(line.trimEnd());
    if (found === null) continue;
    const process = PROCESS.exec(line)?.[1];
    events.push({
      name: found[2] ?? '',
      text: found[3]?.trimStart() ?? '',
      snp: found[1] !== undefined,
      line: lines,
      process,
    });
    if (events.length > MOST_EVENTS) throw tooLong(`${MOST_EVENTS} lines of trace events`);
  }
  const last = events.at(-1);
  const unended = last !== undefined && last.line === lines && last.name.startsWith('update') && !isWhole(last);
  return { events: unended ? events.slice(0, -1) : events, unended };
}

/** One after another: a list of all lines may need many times the memory of the text. */
function* linesOf(text: string): Generator<string> {
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    yield text.slice(start, end);
    start = end + 1;
  }
}

function tooLong(what: string): BootsealError {
  return new BootsealError('format', `the log has ${what}, more than any launch`, {
    hint: 'give the log of one launch',
  });
}

const isWhole = ({ snp, text }: TraceEvent) => (snp ? UPDATE : UPDATE_DATA).test(text);

function readLaunch({ events, launches }: LastLaunch, unended: boolean): TraceLog {
  const updates = events.filter(({ name }) => name.startsWith('update'));
  const steps = folded(updates.map(readUpdate));
  if (steps.length > MOST_STEPS) throw tooLong(`${steps.length} regions`);
  const event = (name: string) => events.findLast((one) => one.name === name);
  const [start, finish] = [event('start'), event('finish') ?? event('measurement')];
  return {
    account: {
      ...NO_ACCOUNT,
      from: 'trace',
      platform: platformOf(events, start),
      ...parted(steps),
      idBlockDigest: idBlockDigest(event('finish')),
      cut: cutOf(start === undefined, finish === undefined || unended),
    },
    launches,
    measurement: /^data ([A-Za-z0-9+/=]+)$/.exec(event('measurement')?.text ?? '')?.[1],
  };
}

/** KVM adds the VMSAs by itself and QEMU prints nothing of it, except for those of an IGVM file. */
function parted(steps: readonly AccountStep[]): Pick<LaunchAccount, 'steps' | 'vcpuSteps' | 'vcpus'> {
  const { steps: memory, vcpuSteps = [] } = splitSteps(steps);
  return vcpuSteps.length === 0
    ? { steps: memory, vcpuSteps: undefined, vcpus: undefined }
    : { steps: memory, vcpuSteps, vcpus: vcpuSteps.length };
}

function cutOf(start: boolean, end: boolean): LaunchAccount['cut'] {
  if (start && end) return 'both';
  return start ? 'start' : end ? 'end' : undefined;
}

/** Bit 2 of a SEV guest's policy is ES (AMD SEV API 55766, section 2.3). */
function platformOf(events: readonly TraceEvent[], start: TraceEvent | undefined): Platform | undefined {
  if (events.some(({ snp }) => snp)) return 'snp';
  const policy = /^policy 0x([0-9a-f]{1,8})\b/.exec(start?.text ?? '')?.[1];
  if (policy === undefined) return undefined;
  return (Number.parseInt(policy, 16) & 4) === 0 ? 'sev' : 'sev-es';
}

function readUpdate(event: TraceEvent): AccountStep {
  const found = event.snp ? UPDATE.exec(event.text) : UPDATE_DATA.exec(event.text);
  if (found === null) throw unknownForm(event);
  const [gpa, digits = '', name, number] = event.snp ? found.slice(1) : [undefined, found[1]];
  const type = event.snp ? TYPES.find((one, i) => one === name?.toLowerCase() || `${i + 1}` === number) : 'data';
  const length = Number(BigInt(`0x${digits}`));
  if (type === undefined || !Number.isSafeInteger(length)) throw unknownForm(event);
  const base = { name: undefined, type, digest: undefined };
  return {
    ...base,
    gpa: gpa === undefined ? undefined : BigInt(`0x${gpa}`),
    length: event.snp ? length : dataLength(digits),
  };
}

/** QEMU before 6.0 printed `0x` and then the length in decimal; no firmware and no hash table has such a length in hexadecimal. */
function dataLength(digits: string): number {
  const [hexadecimal, decimal] = [Number(BigInt(`0x${digits}`)), Number(digits)];
  const isPlain = hexadecimal % 16 === 0 && (hexadecimal % 4096 === 0 || hexadecimal < 4096);
  return !isPlain && Number.isSafeInteger(decimal) ? decimal : hexadecimal;
}

function unknownForm({ name, snp, line }: TraceEvent): BootsealError {
  return new BootsealError(
    'format',
    `line ${line}: kvm_sev_${snp ? 'snp_' : ''}launch_${name} in a form that no QEMU prints`,
    {
      hint: 'give the log as QEMU wrote it; when it is, tell the authors of bootseal which QEMU that is',
    },
  );
}

/** QEMU repeats a region with what is left of it when KVM answers EAGAIN (target/i386/sev.c, sev_snp_launch_update). */
function folded(steps: readonly AccountStep[]): readonly AccountStep[] {
  const out: AccountStep[] = [];
  for (const step of steps) {
    const last = out.at(-1);
    if (last === undefined || !continues(last, step)) out.push(step);
  }
  return out;
}

function continues(whole: AccountStep, rest: AccountStep): boolean {
  if (whole.gpa === undefined || rest.gpa === undefined || whole.type !== rest.type) return false;
  const end = ({ gpa = 0n, length = 0 }: AccountStep) => gpa + BigInt(length);
  // VMSAs of several vCPUs stand at one address.
  return rest.type !== 'vmsa' && rest.gpa >= whole.gpa && end(rest) === end(whole);
}

/** An ID block begins with the digest that the launch must have (AMD SEV-SNP ABI 56860, table 75). */
function idBlockDigest(finish: TraceEvent | undefined): Uint8Array | undefined {
  const text = /^id_block ([A-Za-z0-9+/=]+)\b/.exec(finish?.text ?? '')?.[1];
  if (text?.length !== 128) return undefined;
  try {
    return base64ToBytes(text).subarray(0, 48);
  } catch (error) {
    if (error instanceof BootsealError) return undefined;
    throw error;
  }
}
