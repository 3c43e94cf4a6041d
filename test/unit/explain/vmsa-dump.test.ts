import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/bytes.ts';
import { parseVmsaDump } from '../../../src/core/explain/vmsa-dump.ts';
import { dmesgOf } from '../../explain-launches.ts';
import { failure, HINT } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

const [bsp, ap] = [fixture('sevctl/vmsa0.bin'), fixture('sevctl/vmsa1.bin')];
const read = (text: string) => parseVmsaDump(Buffer.from(text)).account;

describe('a dump of VMSAs', () => {
  it('is read from pages', () => {
    expect(parseVmsaDump(concat(bsp, ap)).account).toMatchObject({
      from: 'vmsa-dump',
      platform: 'sev-es',
      vcpus: 2,
      vmsas: { pages: [bsp, ap], told: 4096, cut: false },
    });
    expect(failure(() => parseVmsaDump(bsp.subarray(1)))).toEqual({
      kind: 'format',
      message: '4095 bytes are neither VMSA pages of 4096 bytes nor a kernel’s log',
      hint: HINT,
    });
    expect(failure(() => parseVmsaDump(new Uint8Array(4097 * 4096)))).toMatchObject({
      kind: 'format',
      message: '4097 VMSAs, and a guest has at most 4096 vCPUs',
    });
    const snp = Uint8Array.from(bsp);
    snp[0x3b0] = 0x21;
    expect(parseVmsaDump(snp).account.platform).toBe('snp');
  });

  it.each([
    ['dmesg', '[  123.456789] '],
    ['dmesg with callers', '[  123.456789] [  T4711] '],
    ['the raw log', '<7>[  123.456789] '],
    ['a journal', 'Nov 28 17:00:00 be00 kernel: '],
    ['nothing', ''],
  ])('is read from %s', (_name, prefix) => {
    expect(read(dmesgOf([bsp, ap, ap], 0x670, prefix))).toMatchObject({
      vcpus: 3,
      vmsas: { pages: [bsp, ap, ap], told: 0x670, cut: false },
    });
  });

  it('is read from kernels with the smaller structure, of whose last line half is there', () => {
    expect(read(dmesgOf([bsp, ap], 0x408))).toMatchObject({ vcpus: 2, vmsas: { pages: [bsp, ap], told: 0x408 } });
  });

  it('has other lines in between, and ends of lines as in DOS', () => {
    const lines = dmesgOf([bsp, ap]).split('\n');
    const noise = lines.flatMap((line) => [
      `${line}\r`,
      '[  124.000000] usb 1-1: new device 12 34 ab',
      'x'.repeat(2000),
    ]);
    expect(read(noise.join('\n'))).toEqual(read(dmesgOf([bsp, ap])));
  });

  it('that is cut has the vCPUs before, and says so', () => {
    const lines = dmesgOf([bsp, ap]).split('\n');
    const cut = read(lines.slice(0, 150).join('\n'));
    expect(cut).toMatchObject({ vcpus: undefined, vmsas: { pages: [bsp], told: 0x670, cut: true } });
  });

  it('has several launches: a boot processor begins another, and the last one counts', () => {
    const other = Uint8Array.from(bsp);
    other[0x3b0] = 0x20;
    const launches = (text: string) => parseVmsaDump(Buffer.from(text));
    expect(launches(dmesgOf([bsp, ap, ap, bsp, ap, other, ap, ap]))).toMatchObject({
      launches: 3,
      account: { vcpus: 3, vmsas: { pages: [other, ap, ap], cut: false } },
    });
    expect(launches(dmesgOf([bsp, ap, ap])).launches).toBe(1);
    // The log has lost the start of the first one.
    expect(launches(dmesgOf([ap, ap, bsp, ap]))).toMatchObject({ launches: 2, account: { vcpus: 2 } });
    expect(launches(dmesgOf([ap, ap]))).toMatchObject({ launches: 1, account: { vcpus: 2 } });
  });

  it('has lines missing in a launch before the last, which do not matter', () => {
    const missing = dmesgOf([bsp, ap])
      .split('\n')
      .filter((_, i) => i !== 40);
    expect(read(`${missing.join('\n')}${dmesgOf([bsp, ap, ap])}`).vcpus).toBe(3);
    const end = dmesgOf([bsp, ap]).split('\n').slice(0, 60).join('\n');
    expect(failure(() => read(`${dmesgOf([bsp, ap])}${end}`))).toMatchObject({
      kind: 'format',
      message: expect.stringMatching(/^VMSA 2 of the log has [0-9]+ bytes/),
    });
  });

  it('is refused when lines are missing in the middle, or when there is none', () => {
    const lines = dmesgOf([bsp, ap]).split('\n');
    expect(failure(() => read(lines.filter((_, i) => i !== 40).join('\n')))).toEqual({
      kind: 'format',
      message: 'VMSA 0 of the log has 1632 bytes, which no Linux prints',
      hint: HINT,
    });
    expect(failure(() => read(lines.slice(0, 20).join('\n')))).toMatchObject({ kind: 'format' });
    expect(failure(() => read(`${dmesgOf([bsp, ap], 0x670)}${dmesgOf([ap], 0x408)}${dmesgOf([ap])}`))).toMatchObject({
      message: 'VMSA 2 of the log has 1032 bytes, which no Linux prints',
    });
    expect(failure(() => read('Virtual Machine Save Area (VMSA):\n'.repeat(5000)))).toMatchObject({
      kind: 'format',
      message: '4097 VMSAs, and a guest has at most 4096 vCPUs',
    });
    expect(failure(() => read('nothing of that kind\n'))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('Virtual Machine Save Area'),
      hint: expect.stringContaining('dynamic_debug'),
    });
  });
});
