/** @module What a search that found nothing has looked at, in words and as JSON. */
import type { Report } from '../core/attestation/snp-report.ts';
import type { Coverage, Part } from '../core/identify/coverage.ts';
import { LEFT_OUT_TEXTS, type LeftOut } from '../core/identify/left-out.ts';
import type { RuledOut } from '../core/identify/ruled-out.ts';
import type { Wanted } from '../core/identify/wanted.ts';
import { hostSignature } from './identify-cpus.ts';
import { firmwareJson, firmwareText } from './identify-text.ts';

const hex = (word: number | bigint) => `0x${word.toString(16)}`;

/** Returns how many launches were tried, of how many when the search was stopped. */
export function triedText(coverage: readonly Coverage[], stopped: boolean): string {
  const sum = (key: keyof Part) => coverage.reduce((total, { launches }) => total + launches[key], 0);
  return stopped ? `so far, ${sum('tried')} of at most ${sum('of')} launches tried` : `${sum('tried')} launches tried`;
}

/** Returns the lines for one platform; `report` is what was searched for, if it was one. */
export function coverageLines(coverage: Coverage, report: Report | undefined): readonly string[] {
  const { platform, launches, complete, firmware, boots, profiles } = coverage;
  if (launches.tried === 0) return [`not tried  ${platform}: ${untriedText(coverage)}`];
  const label = complete ? 'covered   ' : 'part of   ';
  const some = complete ? '' : `${partText(launches, 'launch', 'launches')}, with `;
  const names = profiles.length === 0 ? '' : `, profiles ${profiles.join(', ')}`;
  return [
    `${label} ${platform}: ${some}${partText(firmware, 'firmware', 'firmware')}, ${partText(boots, 'way to boot', 'ways to boot')}${names}`,
    ...(platform === 'sev' ? [] : [`${label} ${platform}: ${vcpuText(coverage, report)}`]),
  ];
}

function untriedText({ complete, launches }: Coverage): string {
  if (!complete) return 'the search was stopped before';
  return launches.of === 0
    ? 'the profiles and features that were given are of other platforms'
    : 'none of the firmware could be started';
}

const partText = ({ tried, of }: Part, one: string, many: string) =>
  `${tried === of ? '' : `${tried} of `}${counted(of, one, many)}`;

const counted = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;

function vcpuText({ mostVcpus, cpuSignatures, features }: Coverage, report: Report | undefined): string {
  const host = report === undefined ? undefined : hostSignature(report);
  const which =
    host !== undefined && cpuSignatures.includes(host) ? ` (${hex(host)} of the report's host among them)` : '';
  const cpus =
    cpuSignatures.length === 0 ? '' : `, ${counted(cpuSignatures.length, 'CPU signature', 'CPU signatures')}${which}`;
  const count = mostVcpus === 1 ? '1 vCPU' : `1 to ${mostVcpus} vCPUs`;
  return `${count}${cpus}, features ${features.map(hex).join(', ')}`;
}

/** Returns the line for what cannot be tried. */
export function ruledOutLine({ firmware, platform, reason, boots, profiles }: RuledOut): string {
  const kernel = { 'with-kernel': ' with a kernel', 'without-kernel': ' without a kernel', all: '' }[boots];
  const under = profiles === undefined ? '' : ` under ${profiles.join(', ')}`;
  return `ruled out  ${firmwareText(firmware)} for ${platform}${kernel}${under}: ${reason}`;
}

/** Returns the line for what is left out. */
export function leftOutLine({ platform, firmware, svsm, reason }: LeftOut): string {
  return `not tried  ${platform}: ${firmware} firmware ${svsm ? 'with' : 'without'} an SVSM below, since ${LEFT_OUT_TEXTS[reason]}`;
}

/** Returns the line for what the platform may have signed with the digests that were tried; none when it signed nothing, or nothing was tried. */
export function signedCovered(coverage: readonly Coverage[], wanted: Wanted): readonly string[] {
  const scope = signedJson(coverage, wanted);
  if (scope === null) return [];
  const { policies, apiMajors, apiMinors, builds } = scope;
  const label = coverage.every(({ complete }) => complete) ? 'covered   ' : 'part of   ';
  return [`${label} policies ${policies}, API ${versions(apiMajors, apiMinors)}, builds ${builds}`];
}

const versions = (major: string, minors: string) => minors.replace(/[0-9]+/g, (minor) => `${major}.${minor}`);

/** The least and the greatest of what the platform may have signed. */
function signedJson(coverage: readonly Coverage[], wanted: Wanted) {
  if (wanted.kind === 'digest' || coverage.every(({ launches }) => launches.tried === 0)) return null;
  const { policies, majors, minors, builds } = wanted.signed;
  const span = (values: readonly number[], show: (value: number) => string = String) =>
    values.length === 1 ? show(values[0] ?? 0) : `${show(values[0] ?? 0)} to ${show(values.at(-1) ?? 0)}`;
  return { policies: span(policies, hex), apiMajors: span(majors), apiMinors: span(minors), builds: span(builds) };
}

/** Returns what was looked at as JSON, and what was left out. */
export function coverageJson(coverage: readonly Coverage[], leftOut: readonly LeftOut[], wanted: Wanted): unknown {
  return {
    platforms: coverage.map((one) => ({ ...platformJson(one), notTried: leftOutJson(one, leftOut) })),
    signed: signedJson(coverage, wanted),
  };
}

function leftOutJson({ platform }: Coverage, leftOut: readonly LeftOut[]): unknown {
  return leftOut
    .filter((one) => one.platform === platform)
    .map(({ firmware, svsm, reason }) => ({ firmware, svsm, reason: LEFT_OUT_TEXTS[reason] }));
}

function platformJson({ features, cpuSignatures, mostVcpus, ...others }: Coverage): object {
  return {
    ...others,
    cpuSignatures: cpuSignatures.map(hex),
    vmsaFeatures: features.map(hex),
    mostVcpus: mostVcpus === 0 ? null : mostVcpus,
  };
}

/** Returns as JSON what cannot be tried. */
export function ruledOutJson({ firmware, platform, reason, boots, profiles }: RuledOut): unknown {
  return { ...firmwareJson(firmware), platform, boots, profiles: profiles ?? null, reason };
}
