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
    ['dmesg --time-format=iso', '2026-11-29T12:12:49,123456+00:00 '],
    ['dmesg --time-format=iso, east', '2026-11-29T12:12:49,123456+02:00 '],
    ['dmesg --time-format=iso, further east', '2026-11-29T12:12:49,123456+05:30 '],
    ['a console through ts', 'Nov 29 12:12:49 '],
    ['a console with dates', '2026-11-29 12:12:49 '],
    ['numbered lines', '00000000: '],
    ['a host whose name is a number', 'Nov 29 12:12:49 ab: '],
  ])('is read from %s', (_name, prefix) => {
    expect(read(dmesgOf([bsp, ap, ap], 0x670, prefix))).toMatchObject({
      vcpus: 3,
      vmsas: { pages: [bsp, ap, ap], told: 0x670, cut: false },
    });
  });

  it('is read with what stands before the bytes alone, and not before the module that prints them', () => {
    const heading = 'Virtual Machine Save Area (VMSA):';
    const numbered = dmesgOf([bsp, ap], 0x408, '')
      .split('\n')
      .map((line, i) => `${990 + i}:${line.replace(heading, `SVM: ${heading}`)}`);
    expect(read(numbered.join('\n'))).toMatchObject({ vcpus: 2, vmsas: { pages: [bsp, ap], told: 0x408 } });
    const time = '2026-11-29T12:12:49,123456+02:00 ';
    const bytes = Array.from({ length: 16 }, () => '41').join(' ');
    const noise = dmesgOf([bsp, ap], 0x670, time)
      .trimEnd()
      .split('\n')
      .flatMap((line) => [
        line,
        `${time}Code: ${bytes} ${bytes}`,
        `${time}Code: 41 <41> ${bytes}`,
        `${time}00000010: ${bytes}`,
      ]);
    expect(read(noise.join('\n'))).toMatchObject({ vcpus: 2, vmsas: { pages: [bsp, ap], told: 0x670 } });
    const svsm = Uint8Array.from(bsp).fill(0x11, 0x158, 0x159);
    const cut = dmesgOf([svsm, svsm, svsm], 0x670, time).split('\n').slice(40);
    expect(failure(() => read(cut.join('\n')))).toMatchObject({
      message: 'the log begins within a VMSA: how many are lost before it is not known',
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

  describe('of several launches', () => {
    const other = Uint8Array.from(bsp);
    other[0x3b0] = 0x20;
    const launches = (text: string) => parseVmsaDump(Buffer.from(text));
    /** What is printed at these times, in seconds. */
    const at = (...all: readonly (readonly [seconds: number, pages: readonly Uint8Array[]])[]) =>
      all.map(([seconds, pages]) => dmesgOf(pages, 0x670, `[${seconds.toFixed(6).padStart(12)}] `)).join('');

    it('has the last one: a boot processor begins another', () => {
      expect(launches(at([1, [bsp, ap, ap]], [10, [bsp, ap]], [20, [other, ap, ap]]))).toMatchObject({
        launches: 3,
        account: { vcpus: 3, vmsas: { pages: [other, ap, ap], cut: false } },
      });
      expect(launches(dmesgOf([bsp, ap, ap])).launches).toBe(1);
      // The log has lost the start of the first one.
      expect(launches(at([1, [ap, ap]], [7, [bsp, ap]]))).toMatchObject({ launches: 2, account: { vcpus: 2 } });
      const journal = (clock: string, pages: readonly Uint8Array[]) =>
        dmesgOf(pages, 0x670, `Nov 28 ${clock} be00 kernel: `);
      for (const [one, two, vcpus] of [
        ['17:00:00', '17:00:06', 2],
        ['17:00:00', '17:00:05', undefined],
        ['23:59:58', '00:00:01', undefined],
        ['10:00:00', '09:59:00', 2],
      ] as const) {
        const { account } = launches(journal(one, [bsp, ap]) + journal(two, [bsp, ap]));
        expect(account.vcpus, `${one} ${two}`).toBe(vcpus);
      }
      // Another start of the machine, whose times begin again.
      expect(launches(at([1000, [bsp, ap]], [20, [bsp, ap]])).account.vcpus).toBe(2);
    });

    it('does not say how many vCPUs the last has, when two guests were started at the same time', () => {
      const mixed = launches(at([1, [bsp]], [1.5, [other, ap, ap]]));
      expect(mixed).toMatchObject({ launches: 2, account: { vmsas: { pages: [other, ap, ap], cut: false } } });
      expect(mixed.account.vcpus).toBeUndefined();
      // No times at all.
      expect(launches(dmesgOf([bsp, bsp, ap, ap], 0x670, '')).account.vcpus).toBeUndefined();
      expect(launches(dmesgOf([bsp, ap, ap], 0x670, '')).account.vcpus).toBe(3);
      // Nothing that could be of another.
      expect(launches(dmesgOf([bsp, bsp], 0x670, ''))).toMatchObject({ launches: 2, account: { vcpus: 1 } });
    });

    it('tells those whose vCPUs start all alike apart by their times alone', () => {
      const svsm = Uint8Array.from(bsp);
      // CR0.PE.
      svsm[0x158] = 0x11;
      expect(launches(at([1, [svsm, svsm]], [60, [svsm, svsm]]))).toMatchObject({
        launches: 2,
        account: { vcpus: 2 },
      });
      expect(launches(at([1, [svsm, svsm]]))).toMatchObject({ launches: 1, account: { vcpus: 2 } });
      // Started again after three seconds, or three vCPUs of one: who can tell.
      expect(launches(at([1, [svsm, svsm]], [4, [svsm, svsm]])).account.vcpus).toBeUndefined();
      expect(launches(at([1, [svsm]], [1.4, [svsm]])).account.vcpus).toBe(2);
      expect(launches(dmesgOf([svsm, svsm], 0x670, '')).account.vcpus).toBeUndefined();
      expect(launches(dmesgOf([svsm], 0x670, '')).account.vcpus).toBe(1);
      // After another guest, and from an IGVM file, whose other vCPUs are at the reset vector.
      expect(launches(at([1, [bsp, ap]], [60, [svsm, svsm]]))).toMatchObject({ launches: 2, account: { vcpus: 2 } });
      expect(launches(at([1, [bsp, ap, svsm, svsm]]))).toMatchObject({
        launches: 2,
        account: { vmsas: { pages: [svsm, svsm] } },
      });
      expect(launches(at([1, [svsm, bsp, bsp]]))).toMatchObject({ launches: 1, account: { vcpus: 3 } });
      expect(launches(at([1, [svsm]], [60, [bsp, ap]]))).toMatchObject({ launches: 2, account: { vcpus: 2 } });
    });

    it('has those of an IGVM file together, of which the boot processor alone starts elsewhere', () => {
      const igvm = Uint8Array.from(bsp).fill(0x11, 0x158, 0x159);
      for (const prefix of ['', '[  +0.000003] ']) {
        const { launches: number, account } = launches(dmesgOf([igvm, bsp, bsp], 0x670, prefix));
        expect([number, account.vcpus, account.vmsas?.pages]).toEqual([1, undefined, [igvm, bsp, bsp]]);
        // A vCPU that starts elsewhere in real mode shows that the one before it is the boot processor of a guest of its own.
        const plain = launches(dmesgOf([igvm, igvm, bsp, ap, ap], 0x670, prefix));
        expect(plain).toMatchObject({ launches: 2, account: { vcpus: undefined, vmsas: { pages: [bsp, ap, ap] } } });
      }
      expect(launches(at([1, [igvm, bsp, ap]]))).toMatchObject({ launches: 2, account: { vcpus: undefined } });
      expect(launches(at([1, [igvm]], [60, [bsp, bsp]]))).toMatchObject({ launches: 3, account: { vcpus: 1 } });
    });

    it('comes through a slow console', () => {
      const igvm = Uint8Array.from(bsp).fill(0x11, 0x158, 0x159);
      const apart = (...pages: readonly Uint8Array[]) =>
        at(...pages.map((page, i) => [100 + 6 * i, [page]] as [number, Uint8Array[]]));
      expect(launches(apart(bsp, ap, ap))).toMatchObject({
        launches: 1,
        account: { vcpus: 3, vmsas: { pages: [bsp, ap, ap] } },
      });
      // Of two guests, either may have the second.
      expect(launches(apart(bsp, other, ap))).toMatchObject({ launches: 2, account: { vcpus: undefined } });
      // Much later: the first of another launch may be lost.
      expect(launches(at([1, [bsp, ap]], [3600, [ap]]))).toMatchObject({ launches: 1, account: { vcpus: undefined } });
      // Each line takes its time.
      const slow = dmesgOf([igvm, bsp, bsp], 0x670, '')
        .trimEnd()
        .split('\n')
        .map((line, i) => `[${(100 + 0.06 * i).toFixed(6).padStart(12)}] ${line}`);
      expect(launches(slow.join('\n'))).toMatchObject({ launches: 1, account: { vcpus: 3 } });
    });

    it('may have more VMSAs in all than a guest can have', () => {
      const many = 'Virtual Machine Save Area (VMSA):\n'.repeat(5000);
      expect(launches(many + at([60, [bsp, ap]])).launches).toBe(2);
    });
  });

  it('is refused when the start of its launch is lost', () => {
    const lines = dmesgOf([bsp, ap, ap]).split('\n');
    const lost = (from: number) => failure(() => read(lines.slice(from).join('\n')));
    for (const from of [40, 105]) {
      expect(lost(from)).toEqual({
        kind: 'format',
        message: 'VMSA 0 of the log, the first of its launch, is that of no boot processor',
        hint: HINT,
      });
    }
    const svsm = Uint8Array.from(bsp).fill(0x11, 0x158, 0x159);
    const alike = dmesgOf([svsm, svsm, svsm]).split('\n');
    expect(failure(() => read(alike.slice(40).join('\n')))).toEqual({
      kind: 'format',
      message: 'the log begins within a VMSA: how many are lost before it is not known',
      hint: HINT,
    });
    // Bytes of something else.
    const bytes = Array.from({ length: 16 }, () => '41').join(' ');
    const oops = `[    1.000000] Code: ${bytes} ${bytes}\n[    1.000000] 00000010: ${bytes}\n`;
    expect(read(oops + alike.join('\n')).vcpus).toBe(3);
    // The launch before has lost it.
    expect(read(`[    1.000000] ${bytes}\n${dmesgOf([bsp, ap])}`).vcpus).toBe(2);
  });

  it('is read from a log with NULs, whatever its length', () => {
    const log = Buffer.from(dmesgOf([bsp, ap]));
    const padded = Buffer.concat([log, Buffer.alloc(4 * 4096 - log.length)]);
    const line = Buffer.from(dmesgOf([bsp, ap]).replaceAll('\n', '\0\n'));
    for (const one of [padded, Buffer.concat([Buffer.alloc(600), log]), line]) {
      expect(parseVmsaDump(one).account).toEqual(read(dmesgOf([bsp, ap])));
    }
  });

  it('has lines missing in a launch before the last, which do not matter', () => {
    const missing = dmesgOf([bsp, ap])
      .split('\n')
      .filter((_, i) => i !== 40);
    expect(read(`${missing.join('\n')}${dmesgOf([bsp, ap, ap], 0x670, '[  200.000000] ')}`).vcpus).toBe(3);
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
      message: '5000 VMSAs, and a guest has at most 4096 vCPUs',
    });
    expect(failure(() => read('nothing of that kind\n'))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('Virtual Machine Save Area'),
      hint: expect.stringContaining('dynamic_debug'),
    });
  });
});
