/** @module The plan of another machine: what `bootseal measure PLATFORM --plan --json` prints of one guest, read back. */
import { BootsealError } from '../errors.ts';
import type { JsonFields } from '../json-fields.ts';
import type { KernelHashes } from '../measurement/hash-table.ts';
import { type IgvmLoader, LOADERS } from '../measurement/igvm-loaders.ts';
import { MOST_PLAN_STEPS, type Platform } from '../measurement/measure.ts';
import type { MrtdStep } from '../measurement/mrtd.ts';
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
import { digest, HINT, list, object, oneOf, optional, readSha256, readStep, shortText, wrong } from './plan-fields.ts';
import { readTdxPlan } from './tdx-plan.ts';

const PLATFORMS: readonly (Platform | 'tdx')[] = ['sev', 'sev-es', 'snp', 'tdx'];
const TYPES: readonly StepType[] = ['normal', 'vmsa', 'zero', 'unmeasured', 'secrets', 'cpuid', 'data'];
const MRTD_TYPES: readonly MrtdStep['type'][] = ['add', 'extend', 'add+extend'];
const DIGEST_SIZES: Readonly<Record<Platform | 'tdx', number>> = { sev: 32, 'sev-es': 32, snp: 48, tdx: 48 };

/** Reads the text; throws `format` naming the place when it is something else, and `usage` when it has several guests. */
export function parsePlanDocument(text: string): LaunchAccount {
  let value: unknown;
  try {
    // Editors and shells of Windows write a byte order mark.
    value = JSON.parse(text.replace(/^\ufeff/, ''));
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
  const isOfIgvm = typeof result['as'] === 'string';
  if (result['platform'] === 'tdx' && !isOfIgvm) return readTdxPlan(result, where, inputs);
  const platform = oneOf(PLATFORMS, result['platform'], `${where}.platform`);
  const size = DIGEST_SIZES[platform];
  const steps = list(result['plan'], `${where}.plan`, MOST_PLAN_STEPS).map((step, i) =>
    readStep(step, `${where}.plan[${i}]`, platform === 'tdx' ? MRTD_TYPES : TYPES, size),
  );
  const parts = splitSteps(steps);
  const vcpus = parts.vcpuSteps?.length ?? 0;
  if (vcpus > MAX_VCPUS) throw wrong(`${where}.plan`);
  return {
    ...NO_ACCOUNT,
    platform,
    profile: optional(result['profile'], (name) => shortText(name, `${where}.profile`)),
    igvm: optional(result['as'], (loader) => readIgvm(loader, result, where, inputs, steps)),
    ...parts,
    vcpus: platform === 'sev' || platform === 'tdx' ? undefined : vcpus,
    vmsas: optional(result['vmsas'], (pages) => readVmsas(pages, `${where}.vmsas`, vcpus)),
    kernelHashes:
      result['kernelHashes'] === null
        ? null
        : optional(result['kernelHashes'], (hashes) => readHashes(hashes, `${where}.kernelHashes`)),
    digest: digest(result['digest'], `${where}.digest`, size),
  };
}

/** Only `measure igvm` says whose rules it followed. */
function readIgvm(
  loader: unknown,
  { others }: JsonFields,
  where: string,
  inputs: unknown,
  steps: readonly AccountStep[],
): IgvmAccount {
  return {
    loader: readLoader(loader, `${where}.as`),
    sha256: readSha256(object(inputs, 'plan.inputs')['igvm'], 'plan.inputs.igvm'),
    others: optional(others, (all) => readOthers(all, `${where}.others`)),
    steps,
  };
}

const readLoader = (value: unknown, where: string) => oneOf(Object.keys(LOADERS) as IgvmLoader[], value, where);

/** None where all agree. */
function readOthers(value: unknown, where: string): readonly IgvmLoader[] {
  if (!Array.isArray(value) || value.length > Object.keys(LOADERS).length) throw wrong(where);
  return value.map((one, i) => readLoader(object(one, `${where}[${i}]`)['as'], `${where}[${i}].as`));
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
