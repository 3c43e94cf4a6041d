/** @module What `explain` says: in lines for people, and as JSON. */
import type { AccountStep, LaunchAccount } from '../core/explain/account.ts';
import { stepName } from '../core/explain/compare-steps.ts';
import { type Difference, hexNumber } from '../core/explain/difference.ts';
import type { Explanation, Untold } from '../core/explain/explain.ts';
import { bytesToHex } from '../core/hex.ts';
import { PREDICTED_RTMRS } from '../core/rtmr/events.ts';

/** So many differences of one cause are printed. */
const SHOWN = 12;

const UNTOLD: Readonly<Record<Untold, string>> = {
  memory: 'steps of memory: firmware, sections and kernel hashes (--trace shows them)',
  contents: 'contents of pages: another firmware of the same size shows only in the digest',
  'kernel-hashes': 'hashes of kernel, initrd and command line',
  vcpus: 'number of vCPUs (--vmsa-dump of one launch shows it)',
  'cpu-state': 'CPU state (--vmsa-dump shows it)',
  'vmsa-fields': 'fields behind what the dump has of each VMSA:',
  rtmrs: 'RTMR0 to RTMR2: kernel, initrd, command line and more (measure tdx --kernel predicts them, on both sides)',
  events: 'events that a plan does not predict:',
};

/** Returns the lines. */
export function explanationLines(explanation: Explanation): readonly string[] {
  const { expected, found, first, differences, causes, unexplained, untold } = explanation;
  const lines = [`expected   ${describeAccount(expected)}`, `found      ${describeAccount(found)}`];
  if (differences.length === 0) lines.push('same       nothing differs in what both tell');
  lines.push(...registerLines(explanation));
  if (first !== undefined) lines.push(`first      ${firstText(first)}`);
  for (const { name, because, attempt, explains } of causes) {
    lines.push(`cause      ${name}: ${because}`, ...shown('differs', explains), `try        ${attempt}`);
  }
  lines.push(...shown('no cause', unexplained));
  lines.push(...untold.map((what) => `not told   ${UNTOLD[what]}${untoldNames(what, explanation)}`));
  return lines;
}

/** Which registers of two TDX guests hold the same. */
function registerLines({ expected, found }: Explanation): readonly string[] {
  if (expected.tdx === undefined || found.tdx === undefined) return [];
  const valuesOf = ({ digest, tdx }: LaunchAccount) => [digest && bytesToHex(digest), ...(tdx?.boot?.rtmrs ?? [])];
  const [values, others] = [valuesOf(expected), valuesOf(found)];
  const said = ['MRTD', 'RTMR0', 'RTMR1', 'RTMR2'].map((name, i) => {
    const [value, other] = [values[i], others[i]];
    if (value === undefined || other === undefined) return `${name} not compared`;
    return `${name} ${value === other ? 'as expected' : 'another value'}`;
  });
  return [`registers  ${said.join(', ')}`];
}

function untoldNames(what: Untold, { unpredicted, untoldFields }: Explanation): string {
  const isEvents = what === 'events';
  const all = isEvents ? unpredicted.map(({ rtmr, name }) => `RTMR${rtmr} ${name}`) : untoldFields;
  if (!isEvents && what !== 'vmsa-fields') return '';
  const more = all.length - SHOWN;
  return ` ${all.slice(0, SHOWN).join(', ')}${more > 0 ? ` and ${more} more (--json has all)` : ''}`;
}

function firstText({ step, expected, found }: NonNullable<Explanation['first']>): string {
  const [one, other] = [stepText(expected), stepText(found)];
  return `step ${step + 1}: ${one}${one === other ? ', with other contents' : `, but ${other} found`}`;
}

function shown(label: string, differences: readonly Difference[]): readonly string[] {
  const lines = differences.slice(0, SHOWN).map((one) => `${label.padEnd(11)}${differenceText(one)}`);
  return differences.length <= SHOWN
    ? lines
    : [...lines, `${''.padEnd(11)}and ${differences.length - SHOWN} more (--json has all)`];
}

function describeAccount({
  from,
  platform,
  profile,
  igvm,
  tdx,
  steps,
  vcpus,
  vmsas,
  digest,
  cut,
}: LaunchAccount): string {
  const parts: string[] = [];
  if (platform !== undefined) parts.push(platform);
  if (profile !== undefined) parts.push(`profile ${profile}`);
  if (igvm !== undefined) parts.push(`IGVM file ${igvm.sha256.slice(0, 12)} as ${igvm.loader}`);
  if (tdx !== undefined) parts.push(`order ${tdx.order}`, `firmware ${tdx.inputs.get('firmware')?.slice(0, 12)}`);
  if (vcpus !== undefined) parts.push(`${vcpus} ${vcpus === 1 ? 'vCPU' : 'vCPUs'}`);
  if (steps !== undefined) parts.push(`${steps.length} ${steps.length === 1 ? 'step' : 'steps'} of memory`);
  if (from !== 'plan') parts.push(`from ${from}`);
  if (cut !== undefined || vmsas?.cut === true) parts.push('the log is cut');
  if (digest !== undefined) parts.push(`digest ${bytesToHex(digest)}`);
  return parts.join(', ');
}

function stepText(step: AccountStep | undefined): string {
  if (step === undefined) return 'nothing';
  const { type, gpa, length } = step;
  const place = gpa === undefined ? '' : ` at ${hexNumber(gpa)}`;
  const bytes = length === undefined ? '' : ` ${hexNumber(length)} bytes`;
  return `${stepName(step)}${place} (${type}${bytes})`;
}

/** Returns one difference in words. */
export function differenceText({ kind, name, gpa, vcpu, rtmr, expected, found }: Difference): string {
  const place = gpa === undefined ? name : `${name} at ${hexNumber(gpa)}`;
  const within = rtmr === undefined ? place : `RTMR${rtmr} ${place}`;
  const where = vcpu === undefined ? within : `${vcpuText(vcpu)} ${within}`;
  if (kind === 'step-contents') return `${where}: other contents`;
  const absent = kind === 'vmsa-field' ? 'many other values' : 'nothing';
  return `${where}: ${expected ?? 'nothing'} expected, ${found ?? absent} found`;
}

function vcpuText({ first, count }: NonNullable<Difference['vcpu']>): string {
  return count === 1 ? `vCPU ${first}` : `${count} vCPUs from ${first} on`;
}

/** Returns the explanation as JSON; docs/explain.md has its keys. */
export function explanationJson(explanation: Explanation): unknown {
  const { expected, found, first, differences, causes, unexplained, untold, untoldFields, unpredicted } = explanation;
  return {
    differs: differences.length > 0,
    expected: accountJson(expected),
    found: accountJson(found),
    first:
      first === undefined
        ? null
        : { step: first.step, expected: stepJson(first.expected), found: stepJson(first.found) },
    causes: causes.map(({ name, because, attempt, explains }) => ({
      name,
      because,
      attempt,
      differences: explains.map(differenceJson),
    })),
    unexplained: unexplained.map(differenceJson),
    untold,
    untoldFields,
    unpredicted: unpredicted.map(({ rtmr, type, name }) => ({ rtmr, type, name })),
  };
}

function accountJson({ from, platform, profile, igvm, tdx, vcpus, digest, cut, vmsas }: LaunchAccount): unknown {
  return {
    from,
    platform: platform ?? null,
    profile: profile ?? null,
    igvm: igvm === undefined ? null : { as: igvm.loader, sha256: igvm.sha256 },
    tdx:
      tdx === undefined
        ? null
        : {
            order: tdx.order,
            firmware: tdx.inputs.get('firmware') ?? null,
            kernelHeader: tdx.boot?.kernelHeader ?? null,
            rtmrs: PREDICTED_RTMRS.map((rtmr) => tdx.boot?.rtmrs[rtmr] ?? null),
          },
    vcpus: vcpus ?? null,
    digest: digest === undefined ? null : bytesToHex(digest),
    cut: cut ?? (vmsas?.cut === true ? 'end' : null),
  };
}

function stepJson(step: AccountStep | undefined): unknown {
  if (step === undefined) return null;
  const { name, type, gpa, length } = step;
  return { name: name ?? null, type, gpa: gpa === undefined ? null : hexNumber(gpa), bytes: length ?? null };
}

function differenceJson({ kind, name, gpa, vcpu, rtmr, expected, found }: Difference): unknown {
  return {
    kind,
    name,
    gpa: gpa === undefined ? null : hexNumber(gpa),
    vcpu: vcpu?.first ?? null,
    vcpus: vcpu?.count ?? null,
    rtmr: rtmr ?? null,
    expected: expected ?? null,
    found: found ?? null,
  };
}
