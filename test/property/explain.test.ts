import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explanationLines } from '../../src/cli/explain-text.ts';
import type { CauseName } from '../../src/core/explain/cause.ts';
import { explainLaunch } from '../../src/core/explain/explain.ts';
import { parsePlanDocument } from '../../src/core/explain/plan-document.ts';
import { parseTraceLog } from '../../src/core/explain/trace-log.ts';
import { parseVmsaDump } from '../../src/core/explain/vmsa-dump.ts';
import { firmwareOf, type MeasureRequest, type Platform } from '../../src/core/measurement/measure.ts';
import { PROFILES } from '../../src/core/measurement/profiles.ts';
import { nonZeroFields, vmsaOfFields } from '../../src/core/measurement/vmsa-fields.ts';
import { accountWith, dmesgOf, explained, firmwareWith, tdxDocument, traceOf } from '../explain-launches.ts';
import { typedOrValue } from '../failure.ts';
import { AMDSEV } from '../firmware-image.ts';
import { fixture } from '../fixtures.ts';
import { kernelHashes } from '../measurement-vectors.ts';
import { AMDSEV_195, QEMU_DEVEL_SEV } from '../trace-logs.ts';

/** What an owner chooses. */
interface Inputs {
  readonly platform: Platform;
  readonly firmware: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly cmdline: string;
  readonly profile: string;
  readonly cpu: number;
  readonly features: number;
  readonly vcpus: number;
}

const FIRMWARE: Readonly<Record<string, Uint8Array>> = {
  usual: firmwareWith(),
  other: firmwareWith(AMDSEV, 0x10000, 7),
  larger: firmwareWith(AMDSEV, 0x20000),
  older: firmwareWith({ ...AMDSEV, sev: [0, 3, 1, 2].flatMap((i) => (AMDSEV.sev?.[i] ? [AMDSEV.sev[i]] : [])) }),
};

/** The causes that may stand for a change of an input; all of them stand for no change of another. */
const CAUSES: Readonly<Record<keyof Inputs, readonly CauseName[]>> = {
  platform: ['platform'],
  firmware: ['firmware-contents', 'firmware-size', 'section-order'],
  kernel: ['kernel'],
  initrd: ['initrd', 'initrd-missing'],
  cmdline: ['cmdline', 'cmdline-empty'],
  profile: ['profile'],
  cpu: ['cpu-model'],
  features: ['vmsa-features'],
  vcpus: ['vcpus'],
};

const values: { readonly [K in Exclude<keyof Inputs, 'platform'>]: fc.Arbitrary<Inputs[K]> } = {
  firmware: fc.constantFrom(...Object.keys(FIRMWARE)),
  kernel: fc.constantFrom('kernel', 'newer'),
  initrd: fc.constantFrom('', 'initrd', 'other'),
  cmdline: fc.constantFrom('', 'quiet', 'quiet\n', ' quiet'),
  profile: fc.constantFrom(...PROFILES.map(({ name }) => name)),
  cpu: fc.constantFrom(0x800f12, 0xa00f11, 0xa10f10),
  features: fc.constantFrom(0, 0x20, 0x200, 0x221 & ~1),
  vcpus: fc.integer({ min: 1, max: 5 }),
};
const inputs = fc.record({ platform: fc.constantFrom<Platform>('sev', 'sev-es', 'snp'), ...values });

function account({ platform, firmware, kernel, initrd, cmdline, profile, cpu, features, vcpus }: Inputs) {
  const known = PROFILES.find(
    ({ name, platforms }) => name === profile && (platform === 'sev' || platforms.includes(platform)),
  );
  const request: Partial<MeasureRequest> = {
    platform,
    firmware: firmwareOf(FIRMWARE[firmware] ?? new Uint8Array()),
    kernel: kernelHashes(Buffer.from(kernel), Buffer.from(initrd), cmdline),
    cpus: [{ signature: cpu }],
    features: BigInt(features) | (platform === 'snp' ? 1n : 0n),
    vcpus: [vcpus],
    ...(known === undefined ? {} : { profile: known }),
  };
  return accountWith(request);
}

const change = fc
  .constantFrom(...(Object.keys(values) as (keyof typeof values)[]))
  .chain((name) => fc.record({ name: fc.constant(name), value: values[name] as fc.Arbitrary<string | number> }));

describe('two launches', () => {
  it('that differ in one input are explained by it, and by nothing else', () => {
    let named = 0;
    fc.assert(
      fc.property(inputs, change, (one, { name, value }) => {
        const [expected, found] = [account(one), account({ ...one, [name]: value })];
        const { causes, unexplained } = explainLaunch(expected, found);
        const same = Buffer.compare(expected.digest ?? Buffer.of(), found.digest ?? Buffer.of(1)) === 0;
        expect(unexplained).toEqual([]);
        expect(causes.length === 0).toBe(same);
        expect(causes.filter((cause) => !CAUSES[name].includes(cause.name))).toEqual([]);
        if (!same) named++;
      }),
      { numRuns: 300 },
    );
    expect(named).toBeGreaterThan(80);
  });

  it('are explained by nothing when they are the same, from plans and from logs', () => {
    fc.assert(
      fc.property(inputs, (one) => {
        const expected = account(one);
        expect(explained(expected, account(one))).toMatchObject({ differences: [], first: undefined, untold: [] });
        expect(explained(expected, parseTraceLog(traceOf(expected)).account)).toMatchObject({
          differences: [],
          first: undefined,
        });
        if (expected.vmsas === undefined) return;
        const dump = parseVmsaDump(Buffer.from(dmesgOf(expected.vmsas.pages))).account;
        expect(explained(expected, dump).differences).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('that differ anywhere in the pages of their vCPUs are told so field by field', () => {
    fc.assert(
      fc.property(inputs, fc.nat(4095), fc.integer({ min: 1, max: 255 }), fc.nat(4), (one, at, flip, which) => {
        const expected = account({ ...one, platform: 'snp' });
        const pages = expected.vmsas?.pages.map((page) => Uint8Array.from(page)) ?? [];
        const page = pages[which % pages.length] ?? new Uint8Array();
        page[at] = (page[at] ?? 0) ^ flip;
        const { differences } = explained(expected, parseVmsaDump(Buffer.concat(pages)).account);
        expect(differences.map(({ kind, vcpu }) => [kind, vcpu])).toEqual([
          ['vmsa-field', { first: which % pages.length, count: 1 }],
        ]);
      }),
      { numRuns: 100 },
    );
  });
});

describe('fields of a VMSA', () => {
  it('go both ways', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4096, maxLength: 4096 }), (page) => {
        expect(vmsaOfFields(nonZeroFields(page))).toEqual(page);
      }),
      { numRuns: 30 },
    );
  });
});

/** Changes a text here and there. */
const mutated = (text: string) =>
  fc
    .array(
      fc.record({ at: fc.nat(text.length), remove: fc.nat(20), put: fc.string({ maxLength: 8, unit: 'binary' }) }),
      { maxLength: 6 },
    )
    .map((changes) =>
      changes.reduce((now, { at, remove, put }) => now.slice(0, at) + put + now.slice(at + remove), text),
    );

describe('what a host gives', () => {
  it('is explained or refused, as a trace', () => {
    const expected = accountWith();
    const logs = fc.oneof(mutated(AMDSEV_195), mutated(QEMU_DEVEL_SEV), mutated(traceOf(expected)), fc.string());
    fc.assert(
      fc.property(logs, (text) => {
        typedOrValue(() => explainLaunch(expected, parseTraceLog(text).account));
      }),
      { numRuns: 400 },
    );
  });

  it('is explained or refused, as a dump', () => {
    const expected = accountWith();
    const dump = dmesgOf(expected.vmsas?.pages ?? []);
    const dumps = fc.oneof(
      mutated(dump).map((text) => Buffer.from(text, 'latin1')),
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ minLength: 4096, maxLength: 4096 }),
    );
    fc.assert(
      fc.property(dumps, (bytes) => {
        typedOrValue(() => explainLaunch(expected, parseVmsaDump(bytes).account));
      }),
      { numRuns: 100 },
    );
  });

  it('is explained or refused, as a plan', () => {
    const expected = accountWith();
    const digest = 'ab'.repeat(48);
    const step = (name: string, type: string, gpa: string) => ({ name, type, gpa, bytes: 4096, digest });
    const plan = [
      step('firmware', 'normal', '0xfffff000'),
      step('CPUID', 'cpuid', '0x80e000'),
      step('vcpu 0', 'vmsa', '0xfffffffff000'),
    ];
    const bsp = nonZeroFields(expected.vmsas?.pages[0] ?? new Uint8Array());
    const hashes = { kernel: digest.slice(32), initrd: digest.slice(32), cmdline: digest.slice(32) };
    const result = { platform: 'snp', profile: 'ec2', digest, plan, kernelHashes: hashes, vmsas: { bsp, ap: null } };
    const text = JSON.stringify({ results: [result] });
    expect(parsePlanDocument(text).vcpus).toBe(1);
    const values = fc.json().map((value) => JSON.stringify({ results: [{ ...result, plan: JSON.parse(value) }] }));
    fc.assert(
      fc.property(fc.oneof(mutated(text), fc.json(), values, fc.string()), (given) => {
        typedOrValue(() => explainLaunch(expected, parsePlanDocument(given)));
        typedOrValue(() => explainLaunch(parsePlanDocument(given), expected));
      }),
      { numRuns: 400 },
    );
  });

  it('is explained or refused, as a plan of a TDX guest', () => {
    const text = tdxDocument({ kernel: fixture('tdx-boot/linux.efi'), initrd: 'initrd', memory: 2 ** 32, tables: 'x' });
    const expected = parsePlanDocument(text);
    const { results, inputs } = JSON.parse(text) as { results: [Record<string, unknown>]; inputs: object };
    const keys = fc.constantFrom('platform', ...Object.keys(results[0]));
    const strange = fc.record({ key: keys, value: fc.json() }).map(({ key, value }) => {
      return JSON.stringify({ results: [{ ...results[0], [key]: JSON.parse(value) }], inputs });
    });
    const events = results[0]['events'] as object[];
    const one = fc.record({
      rtmr: fc.constantFrom(0, 1, 2),
      type: fc.constantFrom('EV_SEPARATOR', 'EV_EVENT_TAG'),
      name: fc.constantFrom(
        'kernel',
        'initrd',
        'load options',
        'separator',
        '__proto__',
        'variable Boot0001',
        'toString',
      ),
      digest: fc.constantFrom(null, 'ab'.repeat(48), 'cd'.repeat(48)),
    });
    const others = fc
      .array(fc.oneof(one, fc.constantFrom(...events)), { minLength: 1, maxLength: 40 })
      .map((list) => JSON.stringify({ results: [{ ...results[0], events: list }], inputs }));
    let read = 0;
    fc.assert(
      fc.property(fc.oneof(mutated(text), strange, others), (given) => {
        typedOrValue(() => {
          const found = parsePlanDocument(given);
          read++;
          const all = [explainLaunch(expected, found), explainLaunch(found, expected)];
          for (const explanation of all) explanationLines(explanation);
          const counts = all.map(({ differences, causes, unexplained }) => [
            differences.length,
            causes.flatMap(({ explains }) => explains).length + unexplained.length,
          ]);
          for (const [differences, said] of counts) expect(said).toBe(differences);
        });
      }),
      { numRuns: 400 },
    );
    expect(read).toBeGreaterThan(100);
  });
});
