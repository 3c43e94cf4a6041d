import { describe, expect, it } from 'vitest';
import { joinLogs } from '../../../src/core/explain/join-logs.ts';
import { parseTraceLog } from '../../../src/core/explain/trace-log.ts';
import { parseVmsaDump } from '../../../src/core/explain/vmsa-dump.ts';
import { firmwareOf } from '../../../src/core/measurement/measure.ts';
import { accountWith, dmesgOf, traceOf } from '../../explain-launches.ts';
import { failure, HINT } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

const [sev, es, snp] = (['sev', 'sev-es', 'snp'] as const).map((platform) => accountWith({ platform })) as [
  ReturnType<typeof accountWith>,
  ReturnType<typeof accountWith>,
  ReturnType<typeof accountWith>,
];
const trace = (text: string) => parseTraceLog(text).account;
const dump = ({ vmsas }: typeof es) => parseVmsaDump(Buffer.from(dmesgOf(vmsas?.pages ?? []))).account;
const headless = (text: string) => text.replace(/^kvm_sev_(?:snp_)?launch_start.*\n/, '');

const VMSA = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0xfffffffff000 len 0x1000 (Vmsa page)\n';
const FINISH = /^kvm_sev_snp_launch_finish/m;
const withVmsas = (count: number) => traceOf(snp).replace(FINISH, `${VMSA.repeat(count)}$&`);
const unfinished = (text: string) => text.slice(0, text.search(FINISH));
/** The log of KVM ends in the second of the two vCPUs of `snp`, or of three. */
const cut = (vcpus: number) =>
  parseVmsaDump(Buffer.from(dmesgOf(accountWith({ vcpus: [vcpus] }).vmsas?.pages ?? []).slice(0, -2000))).account;

describe('a trace and a dump', () => {
  it.each([
    ['SEV-ES', traceOf(es), es],
    ['SNP', traceOf(snp), snp],
    ['SEV-ES without its start', headless(traceOf(es)), es],
    ['SNP without its start', headless(traceOf(snp)), snp],
  ])('of one launch are joined: %s', (_name, text, launch) => {
    const joined = joinLogs(trace(text), dump(launch));
    expect(joined).toMatchObject({ from: 'trace and vmsa-dump', platform: launch.platform, vcpus: 2 });
    expect(joined.steps).toHaveLength(launch.steps?.length ?? 0);
    expect(joined.vmsas?.pages).toHaveLength(2);
  });

  it.each([
    ['sev', 'sev-es', traceOf(sev), es],
    ['sev-es', 'snp', traceOf(es), snp],
    ['snp', 'sev-es', traceOf(snp), es],
  ])('of two platforms are refused: %s and %s', (one, other, text, launch) => {
    expect(failure(() => joinLogs(trace(text), dump(launch)))).toEqual({
      kind: 'format',
      message: `the logs are of different guests: the trace is of ${one}, the dump of the vCPUs of ${other}`,
      hint: HINT,
    });
  });

  it('are refused when regions of SEV stand beside vCPUs of SNP', () => {
    expect(failure(() => joinLogs(trace(headless(traceOf(sev))), dump(snp)))).toEqual({
      kind: 'format',
      message: 'the logs are of different guests: the trace is of sev or sev-es, the dump of the vCPUs of snp',
      hint: HINT,
    });
  });

  it('are refused when the vCPUs start in an SVSM that is not in the trace', () => {
    const over = { kernel: undefined, firmware: firmwareOf(fixture('sev-snp-measure/svsm_ovmf.fd')) };
    const svsm = { image: fixture('sev-snp-measure/svsm.bin'), varsSize: 540672 };
    const [without, below] = [accountWith(over), accountWith({ ...over, svsm })];
    expect(joinLogs(trace(traceOf(below)), dump(below)).vcpus).toBe(2);
    expect(failure(() => joinLogs(trace(traceOf(without)), dump(below)))).toEqual({
      kind: 'format',
      message:
        'the logs are of different guests: the vCPUs of the dump start in an SVSM at 0xffaea000, and the trace has none there',
      hint: HINT,
    });
    expect(joinLogs(trace(unfinished(traceOf(without))), dump(below)).vcpus).toBe(2);
  });

  it('are refused when their vCPUs are not as many', () => {
    for (const [count, text] of [
      [1, '1'],
      [3, '3'],
    ] as const) {
      expect(failure(() => joinLogs(trace(withVmsas(count)), dump(snp)))).toEqual({
        kind: 'format',
        message: `the logs are of different guests: the trace has ${text} and the dump has 2 of the VMSAs`,
        hint: HINT,
      });
    }
    expect(joinLogs(trace(withVmsas(2)), dump(snp)).vcpus).toBe(2);
  });

  it('of which the dump may have vCPUs of another guest have as many as the trace shows', () => {
    const pages = snp.vmsas?.pages ?? [];
    const mixed = parseVmsaDump(Buffer.from(dmesgOf([...pages, ...pages, ...pages.slice(1)]))).account;
    expect(mixed).toMatchObject({ vcpus: undefined, vmsas: { pages: { length: 3 } } });
    expect(joinLogs(trace(withVmsas(2)), mixed).vcpus).toBe(2);
    expect(joinLogs(trace(unfinished(withVmsas(2))), mixed).vcpus).toBeUndefined();
  });

  it('of which one is cut have at least the vCPUs that it shows', () => {
    expect(joinLogs(trace(unfinished(withVmsas(1))), dump(snp)).vcpus).toBe(2);
    expect(failure(() => joinLogs(trace(unfinished(withVmsas(3))), dump(snp))).message).toContain(
      'the trace has at least 3 and the dump has 2',
    );
    expect(cut(3)).toMatchObject({ vcpus: undefined, vmsas: { cut: true } });
    expect(joinLogs(trace(withVmsas(3)), cut(3)).vcpus).toBe(3);
    expect(joinLogs(trace(withVmsas(4)), cut(3)).vcpus).toBe(4);
    expect(failure(() => joinLogs(trace(withVmsas(2)), cut(3))).message).toContain(
      'the trace has 2 and the dump has at least 3',
    );
    expect(joinLogs(trace(unfinished(withVmsas(2))), cut(3)).vcpus).toBeUndefined();
  });
});
