import { describe, expect, it } from 'vitest';
import { bytesToBase64 } from '../../../src/core/base64.ts';
import { parseTraceLog } from '../../../src/core/explain/trace-log.ts';
import { accountWith, traceOf } from '../../explain-launches.ts';
import { failure, HINT } from '../../failure.ts';
import { AMDSEV_195, QEMU_DEVEL_SEV } from '../../trace-logs.ts';

const steps = (text: string) =>
  parseTraceLog(text).account.steps?.map(
    ({ type, gpa, length }) => `${type} ${gpa?.toString(16)} ${length?.toString(16)}`,
  );

describe('trace lines', () => {
  it('of a real SNP launch', () => {
    const { account, launches } = parseTraceLog(AMDSEV_195);
    expect(account).toMatchObject({
      from: 'trace',
      platform: 'snp',
      vcpus: undefined,
      vcpuSteps: undefined,
      cut: undefined,
    });
    expect(launches).toBe(1);
    expect(steps(AMDSEV_195)).toEqual([
      'normal ffc00000 400000',
      'zero 800000 9000',
      'zero 80a000 3000',
      'secrets 80d000 1000',
      'cpuid 80e000 1000',
      'normal 80f000 1000',
      'zero 810000 10000',
    ]);
  });

  it('of a real SEV launch, with its measurement', () => {
    const { account, measurement } = parseTraceLog(QEMU_DEVEL_SEV);
    expect(account).toMatchObject({ platform: 'sev', cut: undefined });
    expect(steps(QEMU_DEVEL_SEV)).toEqual(['data undefined 400000']);
    expect(measurement).toBe('PF6n7+Vujx5sW8PC6iMRtHXfpXdJ4osbcfYvoknu7gg4ypMqs727NTzG86Ft8Llu');
    // Bit 2 of the policy is ES.
    expect(parseTraceLog(QEMU_DEVEL_SEV.replace('policy 0x0', 'policy 0x5')).account.platform).toBe('sev-es');
    // QEMU before 6.0 printed the length in decimal behind 0x.
    const old = QEMU_DEVEL_SEV.replace('len 0x400000', 'len 0x4194304');
    expect(steps(old)).toEqual(['data undefined 400000']);
    expect(steps(old.replace('4194304', '176'))).toEqual(['data undefined b0']);
    expect(steps(old.replace('4194304', 'b0'))).toEqual(['data undefined b0']);
    expect(steps(old.replace('4194304', '37c000'))).toEqual(['data undefined 37c000']);
  });

  it.each([
    ['QEMU’s own prefix', (line: string) => `4711@1700000000.123456:${line}`],
    ['a journal', (line: string) => `Nov 28 17:00:00 host qemu-system-x86_64[4711]: ${line}`],
    ['lines that end as in DOS', (line: string) => `${line}\r`],
    ['another program’s lines', (line: string) => `hello\n${line}\nkvm_sev_snp_is_not_an_event 12`],
  ])('are found with %s', (_name, around) => {
    const text = AMDSEV_195.split('\n').map(around).join('\n');
    expect(parseTraceLog(text).account).toEqual(parseTraceLog(AMDSEV_195).account);
  });

  it('are read in today’s form, and in the first one with the number of the type and without addresses', () => {
    const account = accountWith();
    expect(parseTraceLog(traceOf(account)).account.steps?.length).toBe(account.steps?.length);
    const today = AMDSEV_195.replaceAll(' addr ', ' src ');
    expect(steps(today)).toEqual(steps(AMDSEV_195));
    const first =
      'kvm_sev_snp_launch_update addr 0x7f00 len 0x1000 type 5\nkvm_sev_snp_launch_update addr 0x7f00 len 0x1000 type 6';
    expect(steps(first)).toEqual(['secrets undefined 1000', 'cpuid undefined 1000']);
  });

  it('of a region that KVM takes in several turns are one', () => {
    const turns = [
      'gpa 0xffc00000 len 0x400000',
      'gpa 0xffc00000 len 0x400000',
      'gpa 0xffe00000 len 0x200000',
      'gpa 0xfffff000 len 0x1000',
    ].map((region) => `kvm_sev_snp_launch_update src 0x7f00 ${region} (Normal page)`);
    const next = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0x800000 len 0x9000 (Zero page)';
    expect(steps([...turns, next].join('\n'))).toEqual(['normal ffc00000 400000', 'zero 800000 9000']);
    // Another type, or another end, is another region.
    const other = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0x801000 len 0x8000 (Unmeasured page)';
    const shorter = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0x801000 len 0x7000 (Zero page)';
    expect(steps([next, other].join('\n'))).toHaveLength(2);
    expect(steps([next, shorter].join('\n'))).toHaveLength(2);
    // One that begins sooner is no rest of it.
    const sooner = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0x7ff000 len 0xa000 (Zero page)';
    expect(steps([next, sooner].join('\n'))).toEqual(['zero 800000 9000', 'zero 7ff000 a000']);
  });

  it('of several launches: the last is told', () => {
    const text = `${traceOf(accountWith())}${AMDSEV_195}`;
    expect(parseTraceLog(text)).toMatchObject({ launches: 2 });
    expect(steps(text)).toEqual(steps(AMDSEV_195));
  });

  describe('of several programs', () => {
    const own = traceOf(accountWith());
    const by = (process: number, text: string) => text.replace(/^(?=kvm_sev_)/gm, `${process}@1700000000.123456:`);
    const running = by(456, AMDSEV_195);

    it('are several launches, one after another, also without an end', () => {
      expect(parseTraceLog(`${by(123, own)}2026-11-29: starting up\n${running}`).launches).toBe(2);
      const failed = by(123, own).split('\n').slice(0, 3).join('\n');
      const headless = by(456, own.slice(own.indexOf('\n') + 1));
      const { account, launches } = parseTraceLog(`${failed}\n${headless}`);
      expect([launches, account.cut]).toEqual([2, 'start']);
      expect(account.steps).toHaveLength(parseTraceLog(own).account.steps?.length ?? 0);
    });

    it('are refused when their lines are mixed', () => {
      const [first = '', ...rest] = by(123, own).split('\n');
      expect(failure(() => parseTraceLog([first, running.trimEnd(), ...rest].join('\n')))).toEqual({
        kind: 'format',
        message: 'the log has launches of several processes at the same time, 456 and 123',
        hint: "give those of one: grep '123@' LOG",
      });
      const many = Array.from({ length: 2 ** 17 }, (_, i) => by(i, 'kvm_sev_launch_finish\n')).join('');
      expect(parseTraceLog(many).launches).toBe(2 ** 17);
    });
  });

  it('of two starts that both failed are two launches, and not each line twice', () => {
    const start = 'kvm_sev_snp_launch_start policy 0x30000 gosvw (null)\n';
    expect(parseTraceLog(`${start}${start}`)).toMatchObject({ launches: 2, account: { cut: 'end' } });
  });

  describe('behind the end of a launch', () => {
    const [sev, snp] = (['sev', 'snp'] as const).map((platform) => traceOf(accountWith({ platform }))) as [
      string,
      string,
    ];
    const headless = (text: string) => text.slice(text.indexOf('\n') + 1);
    const measured = sev.replace(/^kvm_sev_launch_finish/m, 'kvm_sev_launch_measurement data AAAA\n$&');

    it.each([
      ['SNP', `${snp}${headless(snp)}`, headless(snp), 'start'],
      ['SEV', `${sev}${headless(sev)}`, headless(sev), 'start'],
      ['SEV with a measurement', `${measured}${headless(measured)}`, headless(measured), 'start'],
      [
        'SEV that ended at its measurement',
        `${measured.replace(/.*finish.*\n/, '')}${headless(sev)}`,
        headless(sev),
        'start',
      ],
      ['which has no end either', `${sev}${headless(sev).replace(/.*finish.*\n/, '')}`, headless(sev), 'both'],
      ['its end alone', `${snp}kvm_sev_snp_launch_finish id_block (null)\n`, 'kvm_sev_snp_launch_finish', 'start'],
    ])('are another’s, of which the start is missing: %s', (_name, text, last, cut) => {
      const { account, launches } = parseTraceLog(text);
      expect(launches).toBe(2);
      expect(account.cut).toBe(cut);
      expect(account.steps).toEqual(parseTraceLog(last).account.steps);
    });

    it('count as a launch before the last as well', () => {
      expect(parseTraceLog(`${headless(snp)}${snp}`)).toMatchObject({ launches: 2, account: { cut: undefined } });
      expect(parseTraceLog(`${snp}${headless(snp)}${snp}`)).toMatchObject({ launches: 3, account: { cut: undefined } });
    });
  });

  it('that each stand twice are refused', () => {
    const twice = (text: string) => text.replace(/^.*\n/gm, '$&$&');
    for (const platform of ['sev', 'sev-es', 'snp'] as const) {
      const text = traceOf(accountWith({ platform }));
      const started = text.replace(/.*finish.*\n/, '');
      for (const log of [
        twice(text),
        `hello\n${twice(text)}`,
        twice(started),
        `${twice(started)}${text.split('\n').at(-2)}`,
      ]) {
        expect(failure(() => parseTraceLog(log))).toEqual({
          kind: 'format',
          message: 'the log has each of QEMU’s lines twice',
          hint: expect.stringContaining('each line stands twice'),
        });
      }
    }
    const time = (text: string) => text.replace(/^kvm/gm, () => `7@1.${String(++n).padStart(6, '0')}:kvm`);
    let n = 0;
    expect(failure(() => parseTraceLog(time(twice(traceOf(accountWith()))))).message).toContain('twice');
    // A region that KVM takes in turns, and VMSAs, may stand twice.
    const vmsa = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0xfffffffff000 len 0x1000 (Vmsa page)\n';
    expect(parseTraceLog(twice(vmsa)).account.vcpus).toBe(2);
    expect(steps(traceOf(accountWith()).replace(/^.*update.*\n/gm, '$&$&'))).toEqual(steps(traceOf(accountWith())));
  });

  it('of an IGVM file have VMSAs', () => {
    const vmsa = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0xfffffffff000 len 0x1000 (Vmsa page)';
    const { account } = parseTraceLog([vmsa, vmsa].join('\n'));
    expect(account).toMatchObject({ vcpus: 2, steps: [] });
    expect(account.vcpuSteps?.[0]?.gpa).toBe(0xfffffffff000n);
  });

  it('that are missing at an end are said to be cut off', () => {
    const lines = AMDSEV_195.split('\n');
    const cut = (from: number, to: number) => parseTraceLog(lines.slice(from, to).join('\n')).account.cut;
    expect(cut(0, 13)).toBeUndefined();
    expect(cut(0, 12)).toBe('end');
    expect(cut(3, 13)).toBe('start');
    expect(cut(5, 9)).toBe('both');
    // In the middle of a line.
    const text = AMDSEV_195.slice(0, AMDSEV_195.indexOf(' len 0x10000 '));
    expect(parseTraceLog(text).account).toMatchObject({ cut: 'end' });
    expect(steps(text)).toHaveLength(6);
  });

  it('have the digest of the ID block', () => {
    const block = new Uint8Array(96).map((_, i) => i);
    const text = AMDSEV_195.replace(/id_block .*/, `id_block ${bytesToBase64(block)} id_auth AA== host_data (null)`);
    expect(parseTraceLog(text).account.idBlockDigest).toEqual(block.slice(0, 48));
    expect(parseTraceLog(AMDSEV_195).account.idBlockDigest).toBeUndefined();
  });

  it('are refused when they tell of no launch, or what no QEMU prints', () => {
    expect(failure(() => parseTraceLog('kvm_sev_init\n'))).toEqual({
      kind: 'format',
      message: 'the log has no line of QEMU’s trace events of a launch',
      hint: HINT,
    });
    const changed = AMDSEV_195.replace('(Secrets page)', '(Secret page)');
    expect(failure(() => parseTraceLog(changed))).toMatchObject({
      kind: 'format',
      message: 'line 9: kvm_sev_snp_launch_update in a form that no QEMU prints',
    });
    const huge = AMDSEV_195.replace('len 0x9000', 'len 0xffffffffffffffff');
    expect(failure(() => parseTraceLog(huge))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('line 7'),
    });
    const many = Array.from(
      { length: 4097 },
      (_, i) => `kvm_sev_launch_update_data addr 0x${i.toString(16)} len 0x1000`,
    ).join('\n');
    // A search that goes back over blanks takes minutes for these.
    const blanks = ' '.repeat(2 ** 20);
    for (const hostile of [`kvm_sev_launch_start${blanks}\rx`, `${'kvm_sev_launch_start '.repeat(2 ** 16)}\rx`]) {
      expect(parseTraceLog(hostile)).toMatchObject({ launches: 1, account: { cut: 'end' } });
    }
    const again = 'kvm_sev_launch_finish\n'.repeat(2 ** 18 + 1);
    expect(failure(() => parseTraceLog(again))).toMatchObject({
      kind: 'format',
      message: 'the log has 262144 lines of trace events, more than any launch',
    });
    expect(failure(() => parseTraceLog(many))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('4097 regions'),
    });
  });
});
