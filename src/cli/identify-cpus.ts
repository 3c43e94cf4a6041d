/** @module Which CPU signatures `identify` looks at: those that are asked for, or all that are known and that of the report's host. */
import type { Report } from '../core/attestation/snp-report.ts';
import { BootsealError } from '../core/errors.ts';
import { cpuModel, cpuSignature, knownSignatures, modelsOfSignature } from '../core/measurement/cpu-models.ts';
import type { Cpu } from '../core/measurement/measure.ts';
import { parseUnsigned } from './numbers.ts';

/** What commander makes of the options. */
export interface CpuOptions {
  readonly cpu?: string;
  readonly cpuSignature?: string;
}

/** Returns the CPUs to look at, one of each signature; throws `usage`. */
export function chosenCpus({ cpu, cpuSignature: signatures }: CpuOptions, report: Report | undefined): readonly Cpu[] {
  if (cpu !== undefined && signatures !== undefined) {
    throw new BootsealError('usage', '--cpu and --cpu-signature exclude each other', { hint: 'leave one of them out' });
  }
  if (cpu !== undefined) {
    const named = cpu.split(',').map((name) => ({ name, signature: cpuSignature(cpuModel(name)) }));
    return named.filter((one, i) => named.findIndex((other) => other.signature === one.signature) === i);
  }
  const wanted = signatures?.split(',').map((word) => parseUnsigned(word, '--cpu-signature', 0xffffffff));
  return [...new Set(wanted ?? usual(report))].map((signature) => ({
    name: modelsOfSignature(signature)[0],
    signature,
  }));
}

/** A guest may be started with the CPU of its host, `-cpu host`, which need not be a model. */
function usual(report: Report | undefined): readonly number[] {
  const host = report === undefined ? undefined : hostSignature(report);
  return host === undefined ? knownSignatures() : [host, ...knownSignatures()];
}

/** Reports name the CPU of their host since this version. */
export const NAMES_CPU = 3;

/** Returns the CPUID signature of the host that a report names; undefined when it names none, or numbers that no CPU has. */
export function hostSignature({ version, cpuidFamily, cpuidModel, cpuidStepping }: Report): number | undefined {
  if (version < NAMES_CPU || cpuidFamily === 0 || cpuidStepping > 0xf) return undefined;
  return cpuSignature({ family: cpuidFamily, model: cpuidModel, stepping: cpuidStepping });
}
