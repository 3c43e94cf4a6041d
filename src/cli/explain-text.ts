/** @module What `explain` says: in lines for people, and as JSON. */
import type { AccountStep, LaunchAccount } from '../core/explain/account.ts';
import { stepName } from '../core/explain/compare-steps.ts';
import { type Difference, hexNumber } from '../core/explain/difference.ts';
import type { Explanation, Untold } from '../core/explain/explain.ts';
import { bytesToHex } from '../core/hex.ts';

/** So many differences of one cause are printed. */
const SHOWN = 12;

const UNTOLD: Readonly<Record<Untold, string>> = {
  memory: 'steps of memory: firmware, sections and kernel hashes (--trace shows them)',
  contents: 'contents of pages: another firmware of the same size shows only in the digest',
  'kernel-hashes': 'hashes of kernel, initrd and command line',
  vcpus: 'number of vCPUs (--vmsa-dump shows it)',
  'cpu-state': 'CPU state (--vmsa-dump shows it)',
};

/** Returns the lines. */
export function explanationLines(explanation: Explanation): readonly string[] {
  const { expected, found, first, differences, causes, unexplained, untold } = explanation;
  const lines = [`expected   ${describeAccount(expected)}`, `found      ${describeAccount(found)}`];
  if (differences.length === 0) lines.push('same       nothing differs in what both tell');
  if (first !== undefined) lines.push(`first      ${firstText(first)}`);
  for (const { name, because, attempt, explains } of causes) {
    lines.push(`cause      ${name}: ${because}`, ...shown('differs', explains), `try        ${attempt}`);
  }
  lines.push(...shown('no cause', unexplained));
  lines.push(...untold.map((what) => `not told   ${UNTOLD[what]}`));
  return lines;
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

function describeAccount({ from, platform, profile, igvm, steps, vcpus, vmsas, digest, cut }: LaunchAccount): string {
  const parts: string[] = [];
  if (platform !== undefined) parts.push(platform);
  if (profile !== undefined) parts.push(`profile ${profile}`);
  if (igvm !== undefined) parts.push(`IGVM file ${igvm.sha256.slice(0, 12)} as ${igvm.loader}`);
  if (vcpus !== undefined) parts.push(`${vcpus} ${vcpus === 1 ? 'vCPU' : 'vCPUs'}`);
  if (steps !== undefined) parts.push(`${steps.length} steps of memory`);
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
export function differenceText({ kind, name, gpa, vcpu, expected, found }: Difference): string {
  const place = gpa === undefined ? name : `${name} at ${hexNumber(gpa)}`;
  const where = vcpu === undefined ? place : `${vcpuText(vcpu)} ${place}`;
  if (kind === 'step-contents') return `${where}: other contents`;
  return `${where}: ${expected ?? 'nothing'} expected, ${found ?? 'nothing'} found`;
}

function vcpuText({ first, count }: NonNullable<Difference['vcpu']>): string {
  return count === 1 ? `vCPU ${first}` : `${count} vCPUs from ${first} on`;
}

/** Returns the explanation as JSON; docs/explain.md has its keys. */
export function explanationJson(explanation: Explanation): unknown {
  const { expected, found, first, differences, causes, unexplained, untold } = explanation;
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
  };
}

function accountJson({ from, platform, profile, igvm, vcpus, digest, cut, vmsas }: LaunchAccount): unknown {
  return {
    from,
    platform: platform ?? null,
    profile: profile ?? null,
    igvm: igvm === undefined ? null : { as: igvm.loader, sha256: igvm.sha256 },
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

function differenceJson({ kind, name, gpa, vcpu, expected, found }: Difference): unknown {
  return {
    kind,
    name,
    gpa: gpa === undefined ? null : hexNumber(gpa),
    vcpu: vcpu?.first ?? null,
    vcpus: vcpu?.count ?? null,
    expected: expected ?? null,
    found: found ?? null,
  };
}
