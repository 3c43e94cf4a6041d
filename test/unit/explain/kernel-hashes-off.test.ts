/** That the host can boot any kernel is said first of all, whatever else differs beside it. */
import { describe, expect, it } from 'vitest';
import type { LaunchAccount } from '../../../src/core/explain/account.ts';
import { parseTraceLog } from '../../../src/core/explain/trace-log.ts';
import { firmwareOf, type MeasureRequest } from '../../../src/core/measurement/measure.ts';
import { accountWith, explained, firmwareWith, GENOA, traceOf } from '../../explain-launches.ts';
import { AMDSEV, type Tables } from '../../firmware-image.ts';
import { fixture } from '../../fixtures.ts';

const none = { kernel: undefined };
const [secMem, secrets, cpuid, hashes] = AMDSEV.sev ?? [];
const firmware = (...sections: readonly (typeof secMem)[]): Partial<MeasureRequest> => {
  const tables: Tables = { ...AMDSEV, sev: sections.flatMap((one) => (one === undefined ? [] : [one])) };
  return { firmware: firmwareOf(firmwareWith(tables)) };
};
const changed = (account: LaunchAccount, change: (log: string) => string) =>
  parseTraceLog(change(traceOf(account))).account;
const zero = (log: string) => log.replace('0x810000 len 0x1000 (Normal', '0x810000 len 0x1000 (Zero');
const page =
  (gpa: string, line = /^kvm_sev_snp_launch_finish/m) =>
  (log: string) =>
    log.replace(line, `kvm_sev_snp_launch_update src 0x7f gpa ${gpa} len 0x1000 (Normal page)\n$&`);

/** The causes with the names of the differences that each explains. */
const told = (expected: LaunchAccount, found: LaunchAccount) => {
  const { causes, unexplained } = explained(expected, found);
  expect(unexplained).toEqual([]);
  return causes.map(({ name, explains }) => [name, ...explains.map((one) => `${one.kind} ${one.name}`)]);
};
const OFF = ['kernel-hashes-off', 'step-type KERNEL_HASHES'];

describe('where a kernel was expected and none is measured', () => {
  const own = accountWith();

  it.each(['0x811000', '0x80f000', '0x900000'])('beside a page of the host’s own at %s', (gpa) => {
    const found = changed(own, (log) => page(gpa)(zero(log)));
    expect(told(own, found)).toEqual([OFF, ['host-contents', 'step-added normal pages']]);
    const first = changed(own, (log) => page(gpa, /^.*gpa 0x800000 .*$/m)(zero(log)));
    expect(told(own, first)).toEqual([OFF, ['host-contents', 'step-added normal pages']]);
  });

  it('with a section of another length in its place', () => {
    const longer = (log: string) => log.replace('0x810000 len 0x1000 (Normal', '0x810000 len 0x2000 (Zero');
    const off = [...OFF, 'step-length KERNEL_HASHES'];
    expect(told(own, changed(own, longer))).toEqual([off]);
    expect(
      told(
        own,
        changed(own, (log) => page('0x812000')(longer(log))),
      ),
    ).toEqual([off, ['host-contents', 'step-added normal pages']]);
  });

  it('with a firmware that has no section for its hashes', () => {
    for (const over of [firmware(secMem, secrets, cpuid), firmware(secMem, secrets, cpuid, [0x810000, 0x10000, 1])]) {
      const other = accountWith({ ...none, ...over });
      for (const found of [other, changed(other, (log) => log)]) {
        const [first, ...others] = told(own, found);
        expect(first?.[0]).toBe('kernel-hashes-off');
        expect(first?.slice(1).every((one) => one.endsWith(' KERNEL_HASHES'))).toBe(true);
        expect(others.flat().filter((one) => one.endsWith(' KERNEL_HASHES'))).toEqual([]);
        expect(others.map(([name]) => name)).toEqual(found === other ? ['firmware-contents'] : []);
      }
    }
    const debian = accountWith({ firmware: firmwareOf(fixture('debian-ovmf/OVMF.amdsev_2026.08.fd')) });
    const plain = accountWith({ ...none, firmware: firmwareOf(fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd')) });
    expect(told(debian, plain)).toEqual([
      ['kernel-hashes-off', 'step-type KERNEL_HASHES', 'step-length KERNEL_HASHES'],
      ['firmware-contents', 'step-contents firmware'],
      ['sections', 'step-missing SNP_SEC_MEM'],
    ]);
  });

  it.each(['sev', 'sev-es'] as const)('with data of another length in its place, under %s', (platform) => {
    const [expected, off] = [accountWith({ platform }), ['kernel-hashes-off', 'step-length kernel hashes']];
    expect(
      told(
        expected,
        changed(expected, (log) => log.replace('len 0xb0', 'len 0x84000')),
      ),
    ).toEqual([off]);
  });

  it('beside all else that differs', () => {
    const other = accountWith({ ...none, platform: 'sev-es', vcpus: [3], cpus: [{ signature: GENOA }] });
    expect(explained(own, other).names).toEqual(['kernel-hashes-off', 'platform', 'vcpus', 'cpu-model']);
    const larger = accountWith({ ...none, firmware: firmwareOf(firmwareWith(AMDSEV, 0x20000)) });
    expect(explained(own, larger).names).toEqual(['kernel-hashes-off', 'firmware-size']);
  });
});

describe('kernel-hashes-off is not said', () => {
  const own = accountWith();
  const sev = accountWith({ platform: 'sev' });

  it('of a page with contents in the table’s place, or in another of a firmware with other sections', () => {
    const longer = changed(own, (log) => log.replace('0x810000 len 0x1000 (Normal', '0x810000 len 0x2000 (Normal'));
    expect(explained(own, longer).names).toEqual(['host-contents']);
    const tables: Tables = {
      ...AMDSEV,
      hashArea: [0x80fc00, 0x400],
      sev: [...(AMDSEV.sev?.slice(0, 3) ?? []), [0x80f000, 0x1000, 0x10]],
    };
    const moved = accountWith({ firmware: firmwareOf(firmwareWith(tables)) });
    for (const found of [moved, changed(moved, (log) => log)]) expect(told(own, found).flat()).not.toContain(OFF[0]);
  });

  it('of a table that comes behind other data', () => {
    const found = changed(sev, (log) =>
      log.replace(/^.*len 0xb0$/m, 'kvm_sev_launch_update_data addr 0x7f len 0x84000\n$&'),
    );
    const { names, unexplained } = explained(sev, found);
    expect(names).toEqual([]);
    expect(unexplained).toMatchObject([{ kind: 'step-length', name: 'kernel hashes' }, { kind: 'step-added' }]);
  });

  it('of a table behind a firmware that a log lacks', () => {
    const found = changed(sev, (log) => log.replace(/^.*len 0x10000$/m, ''));
    expect(found.steps).toMatchObject([{ length: 0xb0 }]);
    expect(explained(sev, found).names).not.toContain('kernel-hashes-off');
  });

  it('of a log without addresses that has the sections in another order', () => {
    const other = accountWith(firmware(secMem, hashes, secrets, cpuid));
    const bare = (log: string) => log.replace(/gpa 0x[0-9a-f]+ /g, '');
    expect(explained(own, changed(other, bare)).names).toEqual(['sections']);
    expect(
      explained(
        own,
        changed(own, (log) => bare(zero(log))),
      ).names,
    ).toEqual(['kernel-hashes-off']);
    const { names, causes } = explained(
      own,
      changed(own, (log) => bare(page('0x900000')(zero(log)))),
    );
    expect(names).toEqual(['kernel-hashes-off', 'host-contents']);
    expect(causes[1]?.because).toContain('into the guest, 0x1000 bytes, which');
  });

  it('of a log that ends before it', () => {
    const end = (log: string) => log.slice(0, log.indexOf('gpa 0x810000'));
    expect(explained(own, changed(own, end)).differences).toEqual([]);
    const elsewhere = changed(own, (log) => end(log).replace('0x80e000', '0x80f000'));
    expect(elsewhere.cut).toBe('end');
    expect(explained(own, elsewhere).names).not.toContain('kernel-hashes-off');
  });
});

describe('kernel-hashes-on is said', () => {
  it('once, and only where no table was expected', () => {
    const twice = (log: string) => log.replace(/^.*len 0xb0$/m, '$&\n$&');
    const [sev, without] = [accountWith({ platform: 'sev' }), accountWith({ platform: 'sev', ...none })];
    expect(explained(sev, changed(sev, twice))).toMatchObject({ names: [], unexplained: [{ kind: 'step-added' }] });
    expect(told(without, changed(sev, twice))).toEqual([['kernel-hashes-on', 'step-added data', 'step-added data']]);
  });
});

describe('another build of the firmware', () => {
  it('is no cause where the firmware has the same digest', () => {
    const own = accountWith();
    const moved = (steps: LaunchAccount['steps'] = []) => [...steps.slice(0, 2), ...steps.slice(2).toReversed()];
    const shorter = (steps: LaunchAccount['steps'] = []) =>
      steps.map((step) => (step.name === 'SNP_SEC_MEM' ? { ...step, length: 0x8000 } : step));
    for (const [change, kind, cause] of [
      [moved, 'step-order', 'section-order'],
      [shorter, 'step-length', 'sections'],
    ] as const) {
      const found = { ...own, steps: change(own.steps) };
      const { names, unexplained } = explained(own, found);
      expect(names).toEqual([]);
      expect(unexplained.map((one) => one.kind)).toContain(kind);
      const steps = change(own.steps).map((step) => ({ ...step, digest: undefined }));
      expect(explained(own, { ...own, steps }).names).toEqual([cause]);
    }
  });
});
