/** @module What QEMU and what KVM printed of one launch, as one account; logs that contradict each other are of two. */
import { BootsealError } from '../errors.ts';
import { Vmsa } from '../measurement/vmsa.ts';
import type { AccountStep, LaunchAccount, VmsaAccount } from './account.ts';
import { hexNumber } from './difference.ts';
import { svsmOf } from './svsm-cause.ts';

/** Joins the accounts of a trace and of a dump of the vCPUs; throws `format` when they cannot be of the same launch. */
export function joinLogs(trace: LaunchAccount, dump: LaunchAccount): LaunchAccount {
  refuseOtherPlatform(trace, dump);
  refuseOtherCount(trace, dump);
  refuseOtherStart(trace, dump);
  return {
    ...trace,
    from: 'trace and vmsa-dump',
    platform: trace.platform ?? dump.platform,
    vmsas: dump.vmsas,
    vcpus: dump.vcpus ?? (trace.cut === undefined ? trace.vcpus : undefined),
  };
}

function refuseOtherPlatform({ platform, steps = [] }: LaunchAccount, dump: LaunchAccount): void {
  // Without its start a trace does not say which of the two it is of; those of SNP have other lines.
  const isEither = platform === undefined && steps.some(({ type }) => type === 'data');
  const one = isEither ? ['sev', 'sev-es'] : platform === undefined ? [] : [platform];
  if (dump.platform === undefined || one.length === 0 || one.includes(dump.platform)) return;
  throw ofTwo(`the trace is of ${one.join(' or ')}, the dump of the vCPUs of ${dump.platform}`);
}

/** Where the vCPUs of an SVSM start, it has been put into the guest. */
function refuseOtherStart({ steps, cut }: LaunchAccount, dump: LaunchAccount): void {
  const [first] = dump.vmsas?.pages ?? [];
  if (steps === undefined || cut !== undefined || first === undefined || svsmOf(dump, dump) === undefined) return;
  const { rip } = Vmsa.unpack(first);
  const has = ({ type, gpa = 0n, length = 0 }: AccountStep) =>
    type === 'normal' && rip >= gpa && rip < gpa + BigInt(length);
  if (!steps.some(has))
    throw ofTwo(`the vCPUs of the dump start in an SVSM at ${hexNumber(rip)}, and the trace has none there`);
}

/** How many VMSAs there are, and whether there may be more. */
interface Count {
  readonly vmsas: number;
  readonly more: boolean;
}

/** A trace has VMSAs only of an IGVM file. */
function refuseOtherCount(trace: LaunchAccount, { vcpus, vmsas }: LaunchAccount): void {
  if (trace.vcpus === undefined || vmsas === undefined) return;
  const one = { vmsas: trace.vcpus, more: trace.cut !== undefined };
  const other = vcpus === undefined ? { vmsas: atLeast(vmsas), more: true } : { vmsas: vcpus, more: false };
  if (isWithin(one, other) && isWithin(other, one)) return;
  throw ofTwo(`the trace has ${countText(one)} and the dump has ${countText(other)} of the VMSAs`);
}

/** The last one of a dump that is cut is there in part; of one that may be of several guests the first alone is of this one. */
const atLeast = ({ pages, cut }: VmsaAccount) => (cut ? pages.length + 1 : 1);

const isWithin = (one: Count, other: Count) => other.more || one.vmsas <= other.vmsas;
const countText = ({ vmsas, more }: Count) => `${more ? 'at least ' : ''}${vmsas}`;

function ofTwo(how: string): BootsealError {
  return new BootsealError('format', `the logs are of different guests: ${how}`, {
    hint: 'give both of one launch, or each by itself: --trace alone, then --vmsa-dump alone',
  });
}
