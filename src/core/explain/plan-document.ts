/** @module The plan of another machine: what `bootseal measure PLATFORM --plan --json` prints of one guest, read back. */
import { base64ToBytes } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import { hexToBytes, isHexText } from '../hex.ts';
import type { KernelHashes } from '../measurement/hash-table.ts';
import { type IgvmLoader, LOADERS } from '../measurement/igvm-loaders.ts';
import { MOST_PLAN_STEPS, type Platform } from '../measurement/measure.ts';
import type { StepType } from '../measurement/plan.ts';
import { MAX_VCPUS } from '../measurement/vcpus.ts';
import { VMSA_FIELDS, vmsaOfFields } from '../measurement/vmsa-fields.ts';
import {
  type AccountStep,
  type IgvmAccount,
  type LaunchAccount,
  NO_ACCOUNT,
  planVmsas,
  splitSteps,
  type VmsaAccount,
} from './account.ts';

const PLATFORMS: readonly Platform[] = ['sev', 'sev-es', 'snp'];
const TYPES: readonly StepType[] = ['normal', 'vmsa', 'zero', 'unmeasured', 'secrets', 'cpuid', 'data'];
const DIGEST_SIZES: Readonly<Record<Platform, number>> = { sev: 32, 'sev-es': 32, snp: 48 };

const HINT = 'make the file with `bootseal measure PLATFORM … --plan --json`, of one guest';

/** Reads the text; throws `format` naming the place when it is something else, and `usage` when it has several guests or one of TDX. */
export function parsePlanDocument(text: string): LaunchAccount {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BootsealError('format', 'plan: not JSON', { hint: HINT, cause });
  }
  const { results: guests, inputs } = object(value, 'plan');
  const results = list(guests, 'plan.results', MOST_PLAN_STEPS);
  if (results.length > 1) {
    throw new BootsealError('usage', `the plan is of ${results.length} guests`, {
      hint: 'compare one guest with one: give a single number to --vcpus and a single model to --cpu',
    });
  }
  return readResult(results[0], 'plan.results[0]', inputs);
}

function readResult(value: unknown, where: string, inputs: unknown): LaunchAccount {
  const result = object(value, where);
  if (result['platform'] === 'tdx') throw ofTdx();
  const platform = oneOf(PLATFORMS, result['platform'], `${where}.platform`);
  const size = DIGEST_SIZES[platform];
  const steps = list(result['plan'], `${where}.plan`, MOST_PLAN_STEPS).map((step, i) =>
    readStep(step, `${where}.plan[${i}]`, size),
  );
  const parts = splitSteps(steps);
  const vcpus = parts.vcpuSteps?.length ?? 0;
  if (vcpus > MAX_VCPUS) throw wrong(`${where}.plan`);
  return {
    ...NO_ACCOUNT,
    platform,
    profile: optional(result['profile'], (name) => shortText(name, `${where}.profile`)),
    igvm: optional(result['as'], (loader) => readIgvm(loader, where, inputs, steps)),
    ...parts,
    vcpus: platform === 'sev' ? undefined : vcpus,
    vmsas: optional(result['vmsas'], (pages) => readVmsas(pages, `${where}.vmsas`, vcpus)),
    kernelHashes:
      result['kernelHashes'] === null
        ? null
        : optional(result['kernelHashes'], (hashes) => readHashes(hashes, `${where}.kernelHashes`)),
    digest: digest(result['digest'], `${where}.digest`, size),
  };
}

function ofTdx(): BootsealError {
  return new BootsealError('usage', 'the plan is of a TDX guest, and those of SNP, SEV-ES and SEV are compared', {
    hint: 'for RTMRs hold the guest’s event log against the prediction: bootseal verify ccel; for MRTD compare with diff the lines of bootseal measure tdx --plan',
  });
}

/** Only `measure igvm` says whose rules it followed. */
function readIgvm(loader: unknown, where: string, inputs: unknown, steps: readonly AccountStep[]): IgvmAccount {
  const { sha256 } = object(object(inputs, 'plan.inputs')['igvm'], 'plan.inputs.igvm');
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) throw wrong('plan.inputs.igvm.sha256');
  return { loader: oneOf(Object.keys(LOADERS) as IgvmLoader[], loader, `${where}.as`), sha256, steps };
}

function readStep(value: unknown, where: string, size: number): AccountStep {
  const step = object(value, where);
  const { name, gpa, bytes } = step;
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) throw wrong(`${where}.bytes`);
  return {
    name: shortText(name, `${where}.name`),
    type: oneOf(TYPES, step['type'], `${where}.type`),
    gpa: optional(gpa, (address) => readAddress(address, `${where}.gpa`)),
    length: bytes === 0 ? undefined : bytes,
    digest: digest(step['digest'], `${where}.digest`, size),
  };
}

function readHashes(value: unknown, where: string): KernelHashes {
  const { kernel, initrd, cmdline } = object(value, where);
  return {
    kernel: digest(kernel, `${where}.kernel`, 32),
    initrd: digest(initrd, `${where}.initrd`, 32),
    cmdline: digest(cmdline, `${where}.cmdline`, 32),
  };
}

function readVmsas(value: unknown, where: string, vcpus: number): VmsaAccount {
  const { bsp, ap } = object(value, where);
  const page = (fields: unknown, at: string) =>
    vmsaOfFields(
      list(fields, at, VMSA_FIELDS.length).map((item, i) => {
        const { field, value: text } = object(item, `${at}[${i}]`);
        if (typeof field !== 'string' || typeof text !== 'string') throw wrong(`${at}[${i}]`);
        return { field, value: text };
      }),
    );
  if (vcpus === 0 || (ap === null) !== (vcpus === 1)) throw wrong(where);
  return planVmsas(
    page(bsp, `${where}.bsp`),
    optional(ap, (fields) => page(fields, `${where}.ap`)),
    vcpus,
  );
}

/** What other versions of bootseal do not print is absent, and so is null. */
function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value);
}

function readAddress(value: unknown, where: string): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,16}$/.test(value)) throw wrong(where);
  return BigInt(value);
}

/** Hexadecimal, or base64 with --format base64. */
function digest(value: unknown, where: string, size: number): Uint8Array {
  if (typeof value !== 'string') throw wrong(where);
  const bytes = decoded(value.slice(0, 256), where);
  if (bytes.length !== size) throw wrong(where);
  return bytes;
}

function decoded(text: string, where: string): Uint8Array {
  try {
    return isHexText(text) ? hexToBytes(text) : base64ToBytes(text);
  } catch (cause) {
    if (cause instanceof BootsealError) throw wrong(where);
    throw cause;
  }
}

/** Names are shown to people: they are short and of letters that a terminal only shows. */
function shortText(value: unknown, where: string): string {
  if (typeof value !== 'string' || !/^[ -~]{1,64}$/.test(value)) throw wrong(where);
  return value;
}

function oneOf<T extends string>(known: readonly T[], value: unknown, where: string): T {
  const found = known.find((one) => one === value);
  if (found === undefined) throw wrong(where);
  return found;
}

function list(value: unknown, where: string, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > most) throw wrong(where);
  return value;
}

function object(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where);
  return value as Record<string, unknown>;
}

function wrong(where: string): BootsealError {
  return new BootsealError('format', `${where}: missing or of the wrong form`, { hint: HINT });
}
