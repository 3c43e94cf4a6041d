/** @module What `explain` compares with: a host's logs, or the plan of another machine. */
import { BootsealError } from '../core/errors.ts';
import type { LaunchAccount } from '../core/explain/account.ts';
import { joinLogs } from '../core/explain/join-logs.ts';
import { parsePlanDocument } from '../core/explain/plan-document.ts';
import { parseTraceLog } from '../core/explain/trace-log.ts';
import { parseVmsaDump } from '../core/explain/vmsa-dump.ts';
import { type Io, readInput, remark } from './io.ts';

/** What commander makes of the options. */
export interface FoundOptions {
  readonly trace?: string;
  readonly vmsaDump?: string;
  readonly against?: string;
}

/** A kernel's log with the VMSAs of 512 vCPUs, and the plan of 4096, are smaller; bytes. */
const LIMIT = 32 << 20;

/** Reads what was found; throws `usage` unless one thing is given (or a trace with a dump), `format` for what is in it, `io`. */
export async function readFound(io: Io, { trace, vmsaDump, against }: FoundOptions): Promise<LaunchAccount> {
  const logs = trace !== undefined || vmsaDump !== undefined;
  if (logs === (against !== undefined)) {
    throw new BootsealError('usage', 'what the host did is one of --trace, --vmsa-dump and --against', {
      hint: '--trace and --vmsa-dump go together too: what QEMU and what KVM printed of the same launch',
    });
  }
  if (against !== undefined) return readPlan(io, against);
  const memory = trace === undefined ? undefined : await readTrace(io, trace);
  const cpuState = vmsaDump === undefined ? undefined : await readDump(io, vmsaDump);
  if (memory === undefined || cpuState === undefined) return (memory ?? cpuState) as LaunchAccount;
  return joinLogs(memory, cpuState);
}

/** Reads what `measure --plan --json` printed; throws `format`, `usage` for several guests, `io`. */
export async function readPlan(io: Io, file: string): Promise<LaunchAccount> {
  return parsePlanDocument(Buffer.from(await readInput(io, file, LIMIT)).toString('utf8'));
}

async function readTrace(io: Io, file: string): Promise<LaunchAccount> {
  const text = Buffer.from(await readLog(io, file, 'grep kvm_sev')).toString('latin1');
  const { account, launches, measurement } = parseTraceLog(text);
  remarkLaunches(io, launches);
  if (measurement !== undefined) {
    remark(io, 'note', `the log has the launch measurement, for bootseal identify --tik: ${measurement.slice(0, 64)}`);
  }
  return account;
}

/** Reads a log, which may be of anything else for weeks. */
async function readLog(io: Io, file: string, command: string): Promise<Uint8Array> {
  try {
    return await readInput(io, file, LIMIT);
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    throw new BootsealError('format', error.message, {
      hint: `give what matters of it: ${command} LOG; of several launches the last is compared`,
      cause: error,
    });
  }
}

async function readDump(io: Io, file: string): Promise<LaunchAccount> {
  const { account, launches } = parseVmsaDump(
    await readLog(io, file, "grep -E 'Save Area|([0-9a-f]{2} ){7}[0-9a-f]{2}$'"),
  );
  remarkLaunches(io, launches);
  if (account.vcpus === undefined && account.vmsas?.cut === false) remark(io, 'note', MIXED);
  return account;
}

const MIXED =
  'the log does not tell how many vCPUs the last launch has: another may be mixed with it, or the log has no times';

function remarkLaunches(io: Io, launches: number): void {
  if (launches > 1) remark(io, 'note', `the log has ${launches} launches: the last is compared`);
}
