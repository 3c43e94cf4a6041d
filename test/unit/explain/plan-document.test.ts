import { describe, expect, it } from 'vitest';
import { parsePlanDocument } from '../../../src/core/explain/plan-document.ts';
import { failure, HINT } from '../../failure.ts';

const digest = 'ab'.repeat(32);
const bsp = [{ field: 'cs.base', value: '0xffff0000' }];

/** A SEV-ES guest with two vCPUs, with changes. */
const result = (over: object = {}) => ({
  platform: 'sev-es',
  profile: 'qemu',
  digest,
  plan: [
    { name: 'firmware', type: 'data', gpa: '0xfffff000', bytes: 4096, digest },
    { name: 'vcpu 0', type: 'vmsa', gpa: null, bytes: 4096, digest },
    { name: 'vcpu 1', type: 'vmsa', gpa: null, bytes: 4096, digest },
  ],
  kernelHashes: { kernel: digest, initrd: digest, cmdline: digest },
  vmsas: { bsp, ap: bsp },
  ...over,
});
const read = (...results: unknown[]) => parsePlanDocument(JSON.stringify({ results, inputs: {} }));

describe('a plan', () => {
  it('is read', () => {
    const account = read(result());
    expect(account).toMatchObject({ from: 'plan', platform: 'sev-es', profile: 'qemu', vcpus: 2, cut: undefined });
    expect(account.steps).toEqual([
      { name: 'firmware', type: 'data', gpa: 0xfffff000n, length: 4096, digest: new Uint8Array(32).fill(0xab) },
    ]);
    expect(account.vcpuSteps).toHaveLength(2);
    expect(account.kernelHashes?.cmdline).toEqual(new Uint8Array(32).fill(0xab));
    expect(account.vmsas).toMatchObject({ told: 4096, cut: false });
    expect(account.vmsas?.pages.map((page) => [...page.subarray(0x18, 0x1c)])).toEqual([
      [0, 0, 255, 255],
      [0, 0, 255, 255],
    ]);
  });

  it('may leave unsaid what older versions do not print, and say that there is none', () => {
    const { kernelHashes: _hashes, vmsas: _vmsas, ...older } = result();
    expect(read(older)).toMatchObject({ kernelHashes: undefined, vmsas: undefined, vcpus: 2 });
    expect(read(result({ kernelHashes: null }))).toMatchObject({ kernelHashes: null });
    const [firmware] = result().plan;
    expect(
      read(result({ platform: 'sev', plan: [{ ...firmware, gpa: null, bytes: 0 }], vmsas: null, profile: null })),
    ).toMatchObject({
      profile: undefined,
      vcpus: undefined,
      steps: [{ gpa: undefined, length: undefined }],
    });
  });

  it('may stand behind a byte order mark', () => {
    const text = JSON.stringify({ results: [result()], inputs: {} });
    expect(parsePlanDocument(`\ufeff${text}`)).toEqual(parsePlanDocument(text));
  });

  it('may have digests in base64', () => {
    const base64 = Buffer.from(digest, 'hex').toString('base64');
    expect(read(result({ digest: base64 }))).toEqual(read(result()));
  });

  describe('of an IGVM file', () => {
    const sha256 = 'cd'.repeat(32);
    const text = (igvm: unknown, as: unknown = 'coconut', others?: unknown) =>
      JSON.stringify({ results: [result({ as, others })], inputs: { igvm } });

    it('says which file it is, and whose rules were followed', () => {
      const { igvm, steps, vcpuSteps } = parsePlanDocument(text({ sha256, bytes: 7 }));
      expect(igvm).toEqual({
        loader: 'coconut',
        sha256,
        others: undefined,
        steps: [...(steps ?? []), ...(vcpuSteps ?? [])],
      });
      expect(read(result()).igvm).toBeUndefined();
    });

    it('says which loaders make something else of it', () => {
      const others = (said: unknown) => parsePlanDocument(text({ sha256 }, 'qemu', said)).igvm?.others;
      const digest = 'ab'.repeat(48);
      expect(others([{ as: 'coconut', digest, stops: null }, { as: 'microsoft' }])).toEqual(['coconut', 'microsoft']);
      expect([others([]), others(null)]).toEqual([[], undefined]);
    });

    it.each([
      ['plan.inputs.igvm.sha256', text({ sha256: 'CD'.repeat(32) })],
      ['plan.inputs.igvm.sha256', text({ sha256: sha256.slice(2) })],
      ['plan.inputs.igvm', text(undefined)],
      ['plan.results[0].as', text({ sha256 }, 'other')],
      ['plan.results[0].as', text({ sha256 }, 7)],
      ['plan.results[0].others', text({ sha256 }, 'qemu', 'coconut')],
      ['plan.results[0].others', text({ sha256 }, 'qemu', Array(4).fill({ as: 'coconut' }))],
      ['plan.results[0].others[0]', text({ sha256 }, 'qemu', ['coconut'])],
      ['plan.results[0].others[1].as', text({ sha256 }, 'qemu', [{ as: 'coconut' }, { as: 'xen' }])],
    ])('is refused for its %s', (place, plan) => {
      expect(failure(() => parsePlanDocument(plan))).toMatchObject({
        kind: 'format',
        message: `${place}: missing or of the wrong form`,
      });
    });
  });

  it.each<[place: string, over: object]>([
    ['platform', { platform: 'other' }],
    ['digest', { digest: digest.slice(2) }],
    ['digest', { digest: 'x'.repeat(44) }],
    ['digest', { digest: 7 }],
    ['profile', { profile: 'a\u001b' }],
    ['plan', { plan: [] }],
    ['plan', { plan: undefined }],
    ['plan[0].type', { plan: [{ ...result().plan[0], type: 'odd' }] }],
    ['plan[0].bytes', { plan: [{ ...result().plan[0], bytes: -1 }] }],
    ['plan[0].bytes', { plan: [{ ...result().plan[0], bytes: 1e300 }] }],
    ['plan[0].gpa', { plan: [{ ...result().plan[0], gpa: '0x11111111111111111' }] }],
    ['plan[0].gpa', { plan: [{ ...result().plan[0], gpa: 5 }] }],
    ['plan[0].name', { plan: [{ ...result().plan[0], name: '' }] }],
    ['plan', { plan: Array.from({ length: 4097 }, () => result().plan[1]) }],
    ['plan', { plan: Array.from({ length: 65537 }, () => result().plan[0]) }],
    ['kernelHashes.initrd', { kernelHashes: { kernel: digest, initrd: '', cmdline: digest } }],
    ['kernelHashes', { kernelHashes: [] }],
    ['vmsas', { vmsas: { bsp, ap: null } }],
    ['vmsas.ap', { vmsas: { bsp, ap: [] } }],
    ['vmsas.bsp[0]', { vmsas: { bsp: [{ field: 1, value: '0x1' }], ap: bsp } }],
  ])('is refused for its %s', (place, over) => {
    expect(failure(() => read(result(over)))).toEqual({
      kind: 'format',
      message: `plan.results[0].${place}: missing or of the wrong form`,
      hint: HINT,
    });
  });

  it.each(['nothing', 'null', '[]', '7', '{}', '{"results":[]}', '{"results":[7]}', '['.repeat(100_000)])(
    'is not %.20s',
    (text) => expect(failure(() => parsePlanDocument(text))).toMatchObject({ kind: 'format', hint: HINT }),
  );

  describe('of a TDX guest', () => {
    const sha256 = 'cd'.repeat(32);
    const digest48 = 'ab'.repeat(48);
    const step = { name: 'BFV', type: 'add+extend', gpa: '0xffc84000', bytes: 0x37c000, digest: digest48 };
    const event = { rtmr: 1, type: 'EV_SEPARATOR', name: 'separator', digest: digest48, missing: null };
    const tdx = { platform: 'tdx', order: 'two-pass', digest: digest48, plan: [step] };
    const none = { value: null, missing: ['it'] };
    const boot = {
      profile: 'edk2-202502',
      profileVersion: 1,
      kernelHeader: 'changed',
      rtmrs: [none, { value: digest48, missing: [] }, none],
      events: [event, { ...event, rtmr: 0, name: 'TD HOB', digest: null, missing: 'it' }],
    };
    const firmware = { sha256, bytes: 1 };
    const files = { firmware, kernel: firmware, cmdline: firmware };
    const text = (over: object, inputs: unknown = files) => JSON.stringify({ results: [{ ...tdx, ...over }], inputs });

    it('is read, without and with the events of a boot', () => {
      const account = parsePlanDocument(text({}, { firmware }));
      expect(account).toMatchObject({
        from: 'plan',
        platform: 'tdx',
        profile: undefined,
        steps: [{ name: 'BFV', type: 'add+extend', gpa: 0xffc84000n, length: 0x37c000 }],
        vcpuSteps: undefined,
        tdx: { order: 'two-pass', boot: undefined },
      });
      expect([...(account.tdx?.inputs ?? [])]).toEqual([['firmware', sha256]]);
      const { profile, tdx: told } = parsePlanDocument(text(boot));
      expect(profile).toBe('edk2-202502');
      expect(told?.boot).toEqual({
        profile: 'edk2-202502',
        kernelHeader: 'changed',
        events: [
          { rtmr: 1, type: 'EV_SEPARATOR', name: 'separator', digest: digest48 },
          { rtmr: 0, type: 'EV_SEPARATOR', name: 'TD HOB', digest: undefined },
        ],
        rtmrs: [undefined, digest48, undefined],
      });
    });

    it.each<[place: string, over: object, inputs?: unknown]>([
      ['results[0].order', { order: 'three-pass' }],
      ['results[0].order', { order: undefined }],
      ['results[0].digest', { digest: sha256 }],
      ['results[0].plan', { plan: undefined }],
      ['results[0].plan', { plan: Array.from({ length: 65537 }, () => step) }],
      ['results[0].plan[0].type', { plan: [{ ...step, type: 'normal' }] }],
      ['results[0].plan[0].digest', { plan: [{ ...step, digest: sha256 }] }],
      ['inputs', {}, undefined],
      ['inputs', {}, []],
      ['inputs.firmware', {}, { kernel: firmware }],
      ['inputs.firmware.sha256', {}, { firmware: { sha256: 'CD'.repeat(32) } }],
      ['inputs', {}, { firmware, 'a\u001b': firmware }],
      ['inputs', {}, Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`${i}`, firmware]))],
      ['inputs.kernel', boot, { firmware, cmdline: firmware }],
      ['inputs.cmdline', boot, { firmware, kernel: firmware }],
      ['inputs.initrd.bytes', boot, { ...files, initrd: { ...firmware, bytes: -1 } }],
      ['inputs.initrd.bytes', boot, { ...files, initrd: { ...firmware, bytes: '8' } }],
      ['results[0].profile', { ...boot, profile: null }],
      ['results[0].kernelHeader', { ...boot, kernelHeader: 'odd' }],
      ['results[0].rtmrs', { ...boot, rtmrs: [none] }],
      ['results[0].rtmrs[2]', { ...boot, rtmrs: [none, none, 7] }],
      ['results[0].rtmrs[0].value', { ...boot, rtmrs: [{ value: sha256 }, none, none] }],
      ['results[0].events', { ...boot, events: [] }],
      ['results[0].events', { ...boot, events: Array.from({ length: 1025 }, () => event) }],
      ['results[0].events[0]', { ...boot, events: [null] }],
      ['results[0].events[0].rtmr', { ...boot, events: [{ ...event, rtmr: 3 }] }],
      ['results[0].events[0].rtmr', { ...boot, events: [{ ...event, rtmr: '1' }] }],
      ['results[0].events[0].type', { ...boot, events: [{ ...event, type: 4 }] }],
      ['results[0].events[0].name', { ...boot, events: [{ ...event, name: 'x\n' }] }],
      ['results[0].events[0].digest', { ...boot, events: [{ ...event, digest: sha256 }] }],
    ])('is refused for its %s', (place, over, inputs = place === 'inputs' ? undefined : files) => {
      const plan = JSON.stringify({ results: [{ ...tdx, ...over }], inputs });
      expect(failure(() => parsePlanDocument(plan))).toEqual({
        kind: 'format',
        message: `plan.${place}: missing or of the wrong form`,
        hint: HINT,
      });
    });
  });

  it('is of one guest', () => {
    expect(failure(() => read(result(), result()))).toEqual({
      kind: 'usage',
      message: 'the plan is of 2 guests',
      hint: HINT,
    });
  });
});
