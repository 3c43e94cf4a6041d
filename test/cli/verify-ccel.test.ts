/** @module `verify ccel` with a prediction: logs made of what `measure tdx` says, and quotes that bear them out. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCcel } from '../../src/core/attestation/ccel.ts';
import { replayCcel } from '../../src/core/attestation/replay-ccel.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { ccelEvent, ccelHeader } from '../ccel-log.ts';
import { join } from '../firmware-image.ts';
import { fixture } from '../fixtures.ts';
import { linuxKernel } from '../linux-kernel.ts';
import { bootseal, scratch } from './script.ts';

/** One event of a log: register from 1, digest in hexadecimal. */
type Logged = readonly [register: number, type: number, digest: string];

/** Types by the names that are printed. */
const TYPE: Readonly<Record<string, number>> = {
  EV_SEPARATOR: 4,
  EV_EVENT_TAG: 6,
  EV_PLATFORM_CONFIG_FLAGS: 10,
  EV_EFI_VARIABLE_DRIVER_CONFIG: 0x80000001,
  EV_EFI_VARIABLE_BOOT: 0x80000002,
  EV_EFI_BOOT_SERVICES_APPLICATION: 0x80000003,
  EV_EFI_ACTION: 0x80000007,
  EV_EFI_PLATFORM_FIRMWARE_BLOB2: 0x8000000a,
  EV_EFI_HANDOFF_TABLES2: 0x8000000b,
};

/** Where a quote of version 4 has MRTD, and RTMR0 with the others behind it. */
const AT = { mrtd: 184, rtmr0: 376 } as const;

const BOOT = ['--firmware', 'full', '--kernel', 'linux', '--initrd', 'initrd', '--cmdline', 'console=hvc0'];
const RTMR0 = ['--memory', '2G', '--acpi-loader', 'loader', '--acpi-rsdp', 'rsdp', '--acpi-tables', 'tables'];

interface Predicted {
  readonly digest: string;
  readonly events: readonly { readonly rtmr: number; readonly type: string; readonly digest: string | null }[];
}

describe('a log against a prediction', () => {
  const { folder, remove } = scratch();
  afterAll(remove);
  let predicted: Predicted;
  beforeAll(async () => {
    const files = {
      full: fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd'),
      linux: fixture('tdx-boot/linux.efi'),
      loader: fixture('tdx-boot/table-loader.bin'),
      initrd: Buffer.from('an initrd'),
      rsdp: Buffer.from('RSD PTR 0123456789ab'),
      tables: Buffer.from('DSDT'),
    };
    for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), bytes);
    const { stdout } = await bootseal(['measure', 'tdx', ...BOOT, ...RTMR0, '--json'], folder);
    predicted = (JSON.parse(stdout) as { readonly results: readonly [Predicted] }).results[0];
  });

  const logged = (): Logged[] =>
    predicted.events.map(({ rtmr, type, digest }) => [rtmr + 1, TYPE[type] ?? 0, digest ?? ''] as const);

  /** Writes a log and the quote of a guest with it, and verifies. */
  async function verify(
    events: readonly Logged[],
    words: readonly string[],
    { mrtd = predicted.digest, rtmr3 }: { readonly mrtd?: string; readonly rtmr3?: string } = {},
  ) {
    const all = events.map(([register, type, digest]) => ccelEvent(register, type, [[12, Buffer.from(digest, 'hex')]]));
    const log = join(ccelHeader([[12, 48]]), ...all);
    const quote = Uint8Array.from(fixture('go-tdx-guest/cos-113-tdx-quote.dat'));
    quote.set(Buffer.from(mrtd, 'hex'), AT.mrtd);
    replayCcel(parseCcel(log), nodeHashes).forEach((value, i) => void quote.set(value, AT.rtmr0 + 48 * i));
    if (rtmr3 !== undefined) quote.set(Buffer.from(rtmr3, 'hex'), AT.rtmr0 + 48 * 3);
    fs.writeFileSync(path.join(folder, 'log'), log);
    fs.writeFileSync(path.join(folder, 'quote'), quote);
    return bootseal(['verify', 'ccel', 'log', '--quote', 'quote', ...words], folder);
  }
  const other = 'ab'.repeat(48);
  const changed = (name: string) => {
    const at = predicted.events.findIndex(({ type }) => type === name);
    return logged().map((event, i): Logged => (i === at ? [event[0], event[1], other] : event));
  };

  it('agrees event by event', async () => {
    const { status, stdout, stderr } = await verify(logged(), [...BOOT, ...RTMR0, '--events']);
    expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.not.stringContaining('warning') });
    expect(stderr).toContain('compared with profile=edk2-202502/1 kernel-header=unchanged');
    const lines = stdout.trim().split('\n');
    expect(lines.slice(0, 20).every((line) => / bytes, as predicted: /.test(line))).toBe(true);
    expect(lines[21]).toMatch(/^RTMR0 [0-9a-f]{96} events=13 predicted=13$/);
    expect(lines[24]).toMatch(/^RTMR3 0{96} events=0$/);
  });

  it('names the event that differs, what was predicted, and what most often makes it so', async () => {
    const { status, stdout, stderr } = await verify(changed('EV_EFI_BOOT_SERVICES_APPLICATION'), [...BOOT, ...RTMR0]);
    const kernel = predicted.events.find(({ type }) => type === 'EV_EFI_BOOT_SERVICES_APPLICATION')?.digest;
    expect(status).toBe(1);
    expect(stdout).toMatch(
      new RegExp(
        `^12    RTMR1 EV_EFI_BOOT_SERVICES_APPLICATION   ${other} 0 bytes, DIFFERS: kernel, predicted is ${kernel} \\(`,
      ),
    );
    expect(stdout.split('\n')).toHaveLength(7);
    expect(stdout).toContain('events=5 predicted=4 differs=1');
    expect(stderr).toContain('error: event 12, RTMR1: kernel is not as predicted');
    expect(stderr).toContain('hint: most often: another kernel, or another --kernel-header');
  });

  it('knows nothing of what is not described, and says that the register proves nothing', async () => {
    const { status, stdout, stderr } = await verify(changed('EV_PLATFORM_CONFIG_FLAGS'), [...BOOT, '--events']);
    expect(status).toBe(0);
    expect(stdout).toContain(', not known: TD HOB');
    expect(stdout).toContain('events=13 predicted=9 unknown=4');
    expect(stderr).toContain(
      'warning: not all events of RTMR0 are known, so it proves nothing: the size of memory is not given; the ACPI tables are not given',
    );
  });

  it('says the same of events that the log lacks', async () => {
    const [hob, ...rest] = logged();
    const less = rest.filter(([, type]) => type !== TYPE['EV_PLATFORM_CONFIG_FLAGS']);
    const { status, stdout, stderr } = await verify(less, BOOT);
    expect({ hob: hob?.[1], status }).toEqual({ hob: TYPE['EV_EFI_HANDOFF_TABLES2'], status: 0 });
    expect(stderr).toContain(
      'warning: not all events of RTMR0 are known, so it proves nothing: the size of memory is not given; the ACPI tables are not given',
    );
    expect(stdout).toMatch(/^- {5}RTMR0 EV_EFI_HANDOFF_TABLES2 {13}MISSING, not known: TD HOB$/m);
    expect(stdout.match(/MISSING, not known: etc\/.+$/gm)).toHaveLength(3);
    const { prediction } = JSON.parse((await verify(less, [...BOOT, '--json'])).stdout);
    expect(prediction.absent.map(({ digest }: { readonly digest: unknown }) => digest)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it('names what is too much, and what is missing', async () => {
    const more = await verify([...logged(), [3, 13, other]], [...BOOT, ...RTMR0]);
    expect(more.status).toBe(1);
    expect(more.stdout).toContain(`${other} 0 bytes, NOT PREDICTED`);
    expect(more.stderr).toContain('error: event 21, RTMR2: EV_IPL is not predicted');
    const less = await verify(logged().slice(0, -1), [...BOOT, ...RTMR0]);
    expect(less.status).toBe(1);
    expect(less.stdout).toMatch(
      /^- {5}RTMR1 EV_EFI_ACTION {22}[0-9a-f]{96} MISSING: Exit Boot Services Returned with Success$/m,
    );
    expect(less.stderr).toContain('the log lacks an event of RTMR1 that is predicted: Exit Boot Services Returned');
  });

  it('says the same in JSON', async () => {
    const { status, stdout, stderr } = await verify(changed('EV_EFI_BOOT_SERVICES_APPLICATION').slice(0, -1), [
      ...BOOT,
      '--json',
    ]);
    expect(status).toBe(1);
    const json = JSON.parse(stdout);
    expect(json).toMatchObject({ matches: false, prediction: { profile: 'edk2-202502', kernelHeader: 'unchanged' } });
    expect(json.events[11]).toMatchObject({ rtmr: 1, verdict: 'differs', predicted: 'kernel' });
    expect(json.events[0]).toMatchObject({ verdict: 'unknown', predicted: 'TD HOB' });
    expect(json.events[1]).toMatchObject({ verdict: 'predicted', predicted: 'CFV' });
    expect(json.prediction.absent).toMatchObject([{ rtmr: 1, type: 'EV_EFI_ACTION' }]);
    expect(JSON.parse(stderr.split('\n').find((line) => line.startsWith('{')) ?? '')).toMatchObject({
      error: { kind: 'mismatch' },
    });
  });

  it('holds MRTD against the firmware, also without a kernel', async () => {
    expect(await verify(logged(), ['--firmware', 'full'])).toMatchObject({ status: 0 });
    const wrong = await verify(logged(), ['--firmware', 'full'], { mrtd: other });
    expect(wrong).toMatchObject({ status: 1, stdout: '' });
    expect(wrong.stderr).toContain(`MRTD: the quote has ${other}, expected was ${predicted.digest}`);
    expect(await verify(logged(), ['--firmware', 'full', '--order', 'two-pass'])).toMatchObject({ status: 1 });
  });

  const zeros = '00'.repeat(48);

  describe('of a kernel whose stub extends nothing', () => {
    const boot = [...BOOT.map((word) => (word === 'linux' ? 'old' : word)), ...RTMR0];
    const WARNING =
      'bootseal: warning: the kernel is Linux 6.1.0-50-amd64, whose EFI stub extends nothing (that came with 6.9): RTMR2 is zeros whatever command line and initrd are, which are not measured at all';
    const warnings = (stderr: string) => stderr.split('\n').filter((line) => line.startsWith('bootseal: warning: '));
    let old: Logged[];
    beforeAll(async () => {
      fs.writeFileSync(path.join(folder, 'old'), linuxKernel({ release: '6.1.0-50-amd64' }));
      const { stdout } = await bootseal(['measure', 'tdx', ...boot, '--json'], folder);
      const { events } = (JSON.parse(stdout) as { readonly results: readonly [Predicted] }).results[0];
      old = events.map(({ rtmr, type, digest }) => [rtmr + 1, TYPE[type] ?? 0, digest ?? ''] as const);
    });

    it('predicts zeros, with and without command line and initrd, and warns once', async () => {
      const bare = ['--firmware', 'full', '--kernel', 'old'];
      for (const words of [boot, bare]) {
        const { status, stdout, stderr } = await bootseal(['measure', 'tdx', ...words], folder);
        expect(status).toBe(0);
        expect(stdout).toContain(`\nRTMR2 ${zeros}\n`);
        expect(warnings(stderr)).toEqual([WARNING]);
        expect(stderr).toMatch(/^bootseal: note: RTMRs of profile=edk2-202502\/1 kernel-header=unchanged$/m);
      }
    });

    it('leaves RTMR2 and the load options out of reference values, which would accept any command line', async () => {
      const { stdout, stderr } = await bootseal(['measure', 'tdx', ...boot, '--reference', 'rvps'], folder);
      expect(warnings(stderr)).toEqual([WARNING]);
      expect(stderr).toContain('note: rtmr_2 and tdvfkernelparams are left out: zeros are true of every command line');
      const payload = JSON.parse(Buffer.from(JSON.parse(stdout).payload, 'base64').toString());
      expect(Object.keys(payload)).toEqual(['mr_td', 'rtmr_1', 'tdvfkernel']);
    });

    it('agrees with zeros, and says that they vouch for nothing', async () => {
      const { status, stdout, stderr } = await verify(old, boot);
      expect(status).toBe(0);
      expect(stdout).toContain(`RTMR2 ${zeros} events=0\n`);
      expect(stdout).not.toContain('MISSING');
      expect(warnings(stderr)).toEqual([WARNING]);
    });

    it('is not agreed with by a log that has an event of RTMR2', async () => {
      const more = await verify([...old, [3, 6, other]], boot);
      expect(more.status).toBe(1);
      expect(more.stdout).toContain(`${other} 0 bytes, NOT PREDICTED`);
      expect(more.stdout).toContain('events=1 extra=1');
      expect(more.stderr).toContain(`error: event ${old.length + 1}, RTMR2: EV_EVENT_TAG is not predicted`);
    });
  });

  it('says that RTMR3 holds what the log does not tell of, and checks the others', async () => {
    for (const boot of [[], [...BOOT, ...RTMR0]]) {
      const { status, stdout, stderr } = await verify(logged(), boot, { rtmr3: other });
      expect({ status, stderr }).toMatchObject({ status: 0 });
      expect(stderr).toContain(
        `warning: RTMR3 holds ${other}, which this log does not tell of: only RTMR0 to RTMR2 were checked;`,
      );
      expect(stdout).toContain(`RTMR3 ${other} events=0 NOT IN THE LOG\n`);
      const json = JSON.parse((await verify(logged(), [...boot, '--json'], { rtmr3: other })).stdout);
      expect(json.matches).toBe(true);
      expect(json.rtmrs.map(({ replayed }: { readonly replayed: boolean }) => replayed)).toEqual([
        true,
        true,
        true,
        false,
      ]);
    }
    const wrong = await verify(changed('EV_EFI_BOOT_SERVICES_APPLICATION'), [...BOOT, ...RTMR0], { rtmr3: other });
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain('error: event 12, RTMR1: kernel is not as predicted');
    expect(wrong.stderr).toContain('warning: RTMR3 holds');
  });

  it('compares RTMR3 with a value that is demanded', async () => {
    for (const value of [other, Buffer.from(other, 'hex').toString('base64')]) {
      const { status, stdout, stderr } = await verify(logged(), ['--rtmr3', value], { rtmr3: other });
      expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.not.stringContaining('warning') });
      expect(stdout).toMatch(new RegExp(`RTMR3 ${other} events=0\n$`));
    }
    expect(await verify(logged(), ['--rtmr3', zeros])).toMatchObject({ status: 0 });
    const wrong = await verify(logged(), ['--rtmr3', zeros], { rtmr3: other });
    expect(wrong).toMatchObject({ status: 1, stdout: '' });
    expect(wrong.stderr).toContain(`error: RTMR3: the quote has ${other}, expected was ${zeros}`);
    const none = await verify(logged(), ['--rtmr3', other, ...BOOT, ...RTMR0, '--json']);
    expect(none.status).toBe(1);
    expect(JSON.parse(none.stdout)).toMatchObject({ matches: false, rtmrs: [{}, {}, {}, { replayed: true }] });
    expect(await verify(logged(), ['--rtmr3', 'abab'])).toMatchObject({ status: 2 });
  });

  it('does not take an RTMR3 whose events give another value, and holds the boot against its prediction all the same', async () => {
    const extended: Logged[] = [...logged(), [4, 6, other]];
    const alone = await verify(extended, [], { rtmr3: other });
    expect(alone).toMatchObject({ status: 1, stdout: '' });
    expect(alone.stderr).toContain(`error: RTMR3: the quote has ${other}, the log replays to`);
    // A value that is demanded does not make the log true.
    expect(await verify(extended, ['--rtmr3', other], { rtmr3: other })).toMatchObject({ status: 1 });
    const { status, stdout, stderr } = await verify(extended, [...BOOT, ...RTMR0], { rtmr3: other });
    expect(status).toBe(1);
    expect(stdout).toContain('events=5 predicted=5');
    expect(stdout).toContain(`RTMR3 ${other} events=1 unknown=1 DIFFERS\n`);
    expect(stderr).toContain(`error: RTMR3: the quote has ${other}, the log replays to`);
    expect(stderr).not.toContain('warning: RTMR3');
    expect(await verify(extended, [...BOOT, ...RTMR0])).toMatchObject({ status: 0 });
  });

  it('is refused where options do not go together', async () => {
    expect(await verify(logged(), ['--kernel', 'linux'])).toMatchObject({ status: 2 });
    expect(await verify(logged(), ['--memory', '2G'])).toMatchObject({ status: 2 });
    expect(await verify(logged(), ['--firmware', 'full', '--memory', '2G'])).toMatchObject({ status: 2 });
  });
});
