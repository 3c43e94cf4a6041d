import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesToBase64 } from '../../src/core/base64.ts';
import { concat } from '../../src/core/bytes.ts';
import { hexToBytes } from '../../src/core/hex.ts';
import { computeLaunchMeasurement } from '../../src/core/measurement/launch-measurement.ts';
import { withQemuHeader } from '../../src/core/measurement/setup-header.ts';
import { fixture } from '../fixtures.ts';
import { linuxKernel } from '../linux-kernel.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
const at = (name: string) => path.join(folder, name);
const tik = new Uint8Array(16).fill(7);
const nonce = new Uint8Array(16).fill(9);
const API = ['--api-major', '1', '--api-minor', '55', '--build-id', '24'];

async function measured(args: readonly string[]): Promise<Uint8Array> {
  const { stdout } = await bootseal(['measure', ...args, '--firmware', 'fw'], folder);
  return hexToBytes(stdout.trim());
}

beforeEach(() => {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(at('fw'), fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
  fs.writeFileSync(at('tik'), tik);
});
afterEach(remove);

describe('identify', () => {
  it('finds the launch of a launch measurement, with its API version and policy only', async () => {
    const digest = await measured(['sev-es', '--cpu', 'EPYC-v4', '--vcpus', '2']);
    const api = { major: 1, minor: 55, build: 24 };
    const blob = concat(computeLaunchMeasurement({ tik, api, policy: 5, digest, nonce }), nonce);
    const args = ['identify', bytesToBase64(blob), '--firmware', 'fw', '--vcpus', '4', '--tik', 'tik', ...API];
    const found = await bootseal([...args, '--policy', '5', '--json'], folder);
    const signed = { policy: '0x5', ...api };
    const guest = { platform: 'sev-es', vcpus: 2, cpu: 'EPYC', digest: Buffer.from(digest).toString('hex') };
    expect(JSON.parse(found.stdout).match).toMatchObject({ ...guest, signed });
    const other = await bootseal([...args, '--policy', '0x7', '--cpu', 'EPYC'], folder);
    expect(other).toMatchObject({ status: 1 });
    expect(other.stdout).toContain('covered    sev-es: ');
    expect(other.stdout).toContain('covered    policies 0x7, API 1.55, builds 24\n');
    const without = await bootseal([...args.slice(0, -2), '--policy', '5', '--cpu', 'EPYC'], folder);
    expect(without.stdout).toContain(`digest     ${guest.digest}\n`);
    expect(without.stdout).toContain('signed     API 1.55, build 24, policy 0x5 (nodbg,es)\n');
    const noPolicy = await bootseal([...args, '--json'], folder);
    expect(JSON.parse(noPolicy.stdout).match).toMatchObject({ ...guest, signed });
    const neither = await bootseal(args.slice(0, -2), folder);
    expect(neither).toMatchObject({ status: 2, stderr: expect.stringContaining('--tik needs --policy, or') });
  });

  it('finds the launch of a report, as bytes, text and in Azure’s container', async () => {
    const report = new Uint8Array(1184);
    report[0] = 3;
    report.set([0x19, 0x11, 0x01], 0x188);
    report.set(await measured(['snp', '--cpu', 'EPYC-Genoa', '--vmsa-features', '0x21']), 0x90);
    const container = concat(Buffer.from('HCLA'), new Uint8Array(28), report, new Uint8Array(1000));
    const hex = Buffer.from(report)
      .toString('hex')
      .replace(/(.{64})/g, '$1\n');
    for (const [name, bytes] of Object.entries({ raw: report, container, hex: Buffer.from(hex) })) {
      fs.writeFileSync(at(name), bytes);
      const ran = await bootseal(['identify', name, '--firmware', 'fw', '--vcpus', '2'], folder);
      expect(ran).toMatchObject({
        status: 0,
        stderr: expect.stringContaining(
          'only the measurement of the report was compared: its signature, policy, VMPL, host data and ID keys are yours to check',
        ),
      });
      expect(ran.stdout).toContain(
        'report     version 3, policy 0x0, VMPL 0, host CPU family 25 model 17 stepping 1\n',
      );
      expect(ran.stdout).toContain('match      snp, profile qemu/1, 1 vCPU, CPU signature 0xa10f10');
    }
  });

  /** A report of version 3 of a guest that was started with the host's own CPU, as `-cpu host` has it; no model of QEMU is the same. */
  async function reportOfHostCpu(stepping = 1): Promise<void> {
    const report = new Uint8Array(1184);
    report[0] = 3;
    report.set([25, 17, stepping], 0x188);
    report.set(await measured(['snp', '--cpu-signature', '0xa10f11', '--vcpus', '2']), 0x90);
    fs.writeFileSync(at('report'), report);
  }

  it('tries the CPU signature of the host that the report names', async () => {
    await reportOfHostCpu();
    const args = ['identify', 'report', '--firmware', 'fw', '--vcpus', '2'];
    const found = await bootseal(args, folder);
    expect(found.stdout).toContain('match      snp, profile qemu/1, 2 vCPUs, CPU signature 0xa10f11, features 0x1\n');
    expect(found.stdout).toContain(
      'reproduce  bootseal measure snp --firmware fw --profile qemu --vcpus 2 --cpu-signature 0xa10f11 --vmsa-features 0x1\n',
    );
    const without = ['--firmware', 'fw', '--vcpus', '1'];
    const searched = await bootseal(['identify', 'report', ...without], folder);
    const [, names] = /, ([0-9]+) CPU signatures/.exec(searched.stdout) ?? [];
    expect(searched.stdout).toContain(
      `, ${names} CPU signatures (0xa10f11 of the report's host among them), features `,
    );
    const ofDigest = await bootseal(['identify', '07'.repeat(48), ...without], folder);
    expect(ofDigest.stdout).toContain(`, ${Number(names) - 1} CPU signatures, features `);
    const json = await bootseal(['identify', 'report', ...without, '--json'], folder);
    expect(JSON.parse(json.stdout)).toMatchObject({ report: { cpuSignature: '0xa10f11' } });
    expect(JSON.parse(json.stdout).covered.platforms[0].cpuSignatures).toContain('0xa10f11');
  });

  it('tries no other CPU than those that were asked for, and none that a report cannot name', async () => {
    await reportOfHostCpu();
    const args = ['identify', 'report', '--firmware', 'fw', '--vcpus', '2'];
    for (const cpu of [
      ['--cpu', 'EPYC-v4'],
      ['--cpu-signature', '0x800f12'],
    ]) {
      const asked = await bootseal([...args, ...cpu], folder);
      expect(asked.status).toBe(1);
      expect(asked.stdout).toContain('1 to 2 vCPUs, 1 CPU signature, features');
    }
    await reportOfHostCpu(16);
    const odd = await bootseal([...args, '--json'], folder);
    expect(odd.status).toBe(1);
    expect(JSON.parse(odd.stdout).report.cpuSignature).toBeNull();
  });

  it.each(['snp-milan-report.bin', 'snp-vlek-report.bin', 'azure-snp-milan-hcl.bin', 'azure-snp-genoa-hcl.bin'])(
    'says of the report of a real machine with other firmware what was covered, and no guess: %s',
    async (name) => {
      fs.writeFileSync(at('report'), fixture(`trustee/${name}`));
      fs.writeFileSync(at('fw'), fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'));
      const ran = await bootseal(['identify', 'report', '--firmware', 'fw'], folder);
      expect(ran).toMatchObject({ status: 1, stderr: expect.stringContaining('no launch of those that were tried') });
      expect(ran.stdout).toMatch(/^report {5}version [23], policy 0x300[01][0f], VMPL [0-3]/);
      expect(ran.stdout).toMatch(/^no match {3}[0-9]{5,} launches tried$/m);
      expect(ran.stdout).toMatch(
        /^covered {4}snp: 1 to 64 vCPUs, [0-9]+ CPU signatures( \(0x[0-9a-f]+ of the report's host among them\))?, features 0x1, 0x21, 0x201, 0x221$/m,
      );
      expect(ran.stdout).not.toContain('reproduce');
    },
  );

  it('finds a kernel that was measured with a changed header, and says how to change it', async () => {
    const kernel = linuxKernel();
    const initrd = new Uint8Array(70001);
    fs.writeFileSync(at('kernel'), kernel);
    fs.writeFileSync(at('initrd'), initrd);
    // As QEMU makes it, which differential/qemu-fw-cfg.test.ts sees.
    const inputs = { cmdline: Buffer.from('quiet'), initrdSize: initrd.length, memory: 2 ** 30 };
    const other = Buffer.from(withQemuHeader(kernel, inputs));
    expect(other.equals(kernel)).toBe(false);
    fs.writeFileSync(at('other'), other);
    const boot = ['--kernel', 'kernel', '--initrd', 'initrd', '--cmdline', 'quiet'];
    const digest = await measured(['snp', '--cpu', 'EPYC-v4', '--kernel', 'other', ...boot.slice(2)]);
    const wanted = Buffer.from(digest).toString('hex');
    const { stdout } = await bootseal(['identify', wanted, '--firmware', 'fw', '--vcpus', '1', ...boot], folder);
    expect(stdout).toContain('differs    the kernel is measured with what a VMM writes into its setup header');
    const lines = stdout.split('\n').flatMap((line) => (line.startsWith('reproduce  ') ? [line.slice(11)] : []));
    expect(spawnSync('sh', ['-c', [...lines.slice(0, -1), 'true'].join('\n')], { cwd: folder }).status).toBe(0);
    expect(fs.readFileSync(at('kernel.changed')).equals(other)).toBe(true);
    expect(lines.at(-1)).toContain('bootseal measure snp --firmware fw --kernel kernel.changed --initrd initrd');
  });

  it('finds the code part of an image, and says how to cut it out', async () => {
    const image = new Uint8Array(0x200000);
    const suffix = fs.readFileSync(at('fw'));
    image.set(suffix, image.length - suffix.length);
    fs.writeFileSync(at('whole image.fd'), image);
    fs.writeFileSync(at('fw'), image.subarray(0x20000));
    const digest = Buffer.from(await measured(['snp', '--cpu', 'EPYC-v4'])).toString('hex');
    const { stdout } = await bootseal(['identify', digest, '--firmware', 'whole image.fd', '--vcpus', '1'], folder);
    expect(stdout).toContain('only the code part of whole image.fd is measured');
    expect(stdout).toContain("reproduce  tail -c +131073 'whole image.fd' > code.fd &&\n");
    expect(stdout).toContain('reproduce  bootseal measure snp --firmware code.fd --profile qemu');
  });

  it('names no launch of firmware that measure refuses, rules it out in the same words, and does not count it as covered', async () => {
    fs.writeFileSync(at('none.fd'), new Uint8Array(65536));
    fs.writeFileSync(at('tdx.fd'), fixture('debian-ovmf/OVMF.inteltdx.ms_2026.08.fd'));
    fs.writeFileSync(at('svsm.bin'), fixture('sev-snp-measure/svsm.bin'));
    const vmsa = fixture('sevctl/vmsa0.bin');
    const digest = createHash('sha256').update(new Uint8Array(65536)).update(vmsa).digest('hex');
    const bad = ['none.fd', 'tdx.fd', 'svsm.bin'].flatMap((name) => ['--firmware', name]);
    const sev = await bootseal(['identify', digest, ...bad, '--vcpus', '2'], folder);
    expect(sev.status).toBe(1);
    expect(sev.stdout).toContain('covered    sev: 1 of 4 firmware, 1 way to boot');
    expect(sev.stdout).toContain('not tried  sev-es: none of the firmware could be started\n');
    const snp = await bootseal(['identify', '07'.repeat(48), ...bad, '--firmware', 'fw', '--vcpus', '2'], folder);
    expect(snp.stdout).toContain('covered    snp: 2 of 6 firmware, ');
    for (const [name, platform] of [
      ['none.fd', 'sev-es'],
      ['tdx.fd', 'sev'],
      ['tdx.fd', 'sev-es'],
      ['svsm.bin', 'sev'],
      ['none.fd', 'snp'],
      ['tdx.fd', 'snp'],
      ['svsm.bin', 'snp'],
    ] as const) {
      const { stderr, status } = await bootseal(['measure', platform, '--firmware', name, '--cpu', 'EPYC'], folder);
      const reason = /error: (.*)/.exec(stderr)?.[1];
      expect(status).toBe(3);
      expect((platform === 'snp' ? snp : sev).stdout).toContain(`ruled out  ${name} for ${platform}: ${reason}\n`);
    }
  });

  it('rules out a firmware below which the SVSM has no room, and searches the others', async () => {
    fs.writeFileSync(at('go.json'), fixture('sev-snp-measure-go/ovmf_img_1.json'));
    fs.writeFileSync(at('fw'), fixture('sev-snp-measure/svsm_ovmf.fd'));
    fs.writeFileSync(at('svsm.bin'), fixture('sev-snp-measure/svsm.bin'));
    const svsm = ['--svsm', 'svsm.bin', '--vars-size', '0'];
    const digest = Buffer.from(await measured(['snp', '--cpu', 'EPYC-v4', ...svsm])).toString('hex');
    const args = ['--firmware', 'go.json', '--firmware', 'fw', '--vcpus', '1', '--cpu', 'EPYC-v4', ...svsm];
    const found = await bootseal(['identify', digest, ...args], folder);
    expect(found.stdout).toContain('reproduce  bootseal measure snp --firmware fw --svsm svsm.bin --vars-size 0 ');
    fs.writeFileSync(at('kernel'), 'k');
    const behind = await bootseal(['identify', digest, ...args, '--kernel', 'kernel'], folder);
    expect(behind.stdout).toMatch(/^differs {4}no kernel is measured: nothing measures one behind an SVSM, .*$/m);
    expect(behind.stdout).not.toContain('kernel-hashes=on');
    expect(behind.stdout).not.toContain('--kernel');
    const none = await bootseal(['identify', '07'.repeat(48), ...args], folder);
    expect(none.stdout).toMatch(
      /^ruled out {2}go\.json \(svsm\.bin below it, with 0 bytes of variable store\) for snp: SVSM of .* are not whole pages below the firmware$/m,
    );
  });

  it('says of an SVSM that was given what was not tried, and why', async () => {
    fs.writeFileSync(at('svsm.bin'), fixture('sev-snp-measure/svsm.bin'));
    const args = ['--firmware', 'fw', '--svsm', 'svsm.bin', '--vcpus', '1', '--cpu', 'EPYC-v4'];
    const run = (digest: string, ...more: readonly string[]) =>
      bootseal(['identify', digest, ...args, ...more], folder);
    const profiles = 'since none of the profiles and features that were given starts such guests';
    const [snp, sev] = ['07'.repeat(48), '07'.repeat(32)];
    const without = await run(snp, '--profile', 'ec2');
    expect(without.stdout).toContain(`\nnot tried  snp: 6 firmware with an SVSM below, ${profiles}\n`);
    expect(without.stdout).not.toContain('without an SVSM');
    const within = await run(snp, '--profile', 'snp-measure-svsm');
    expect(within.stdout).toContain(`\nnot tried  snp: 2 firmware without an SVSM below, ${profiles}\n`);
    expect(within.stdout).not.toContain('with an SVSM');
    const others = await run(sev);
    for (const platform of ['sev', 'sev-es']) {
      const line = `\nnot tried  ${platform}: 6 firmware with an SVSM below, since an SVSM runs in guests of SNP only\n`;
      expect(others.stdout).toContain(line);
    }
    expect((await run(snp)).stdout).not.toContain('not tried');
    const { covered } = JSON.parse((await run(snp, '--profile', 'ec2', '--json')).stdout);
    expect(covered.platforms[0].notTried).toEqual([
      { firmware: 6, svsm: true, reason: 'none of the profiles and features that were given starts such guests' },
    ]);
    const plain = await bootseal(['identify', sev, '--firmware', 'fw', '--profile', 'qemu', '--json'], folder);
    expect(JSON.parse(plain.stdout).covered.platforms[0].notTried).toEqual([]);
  });

  it('says in the same words what it does not search, be it bytes or text, in a file or typed', async () => {
    const report = new Uint8Array(1184);
    report[0] = 6;
    const hcl = fixture('trustee/azure-snp-milan-hcl.bin');
    const quote = fixture('go-tdx-guest/cos-113-tdx-quote.dat');
    for (const [bytes, message] of [
      [report, 'attestation report: version 6 is not known'],
      [hcl.subarray(0, 900), 'the HCL container has 900 bytes, too few for the report in it'],
      [
        fixture('trustee/azure-tdx-hcl.bin'),
        'the HCL container is of a TDX guest: it has a TD report and no SNP report',
      ],
      [quote, 'this is a quote of a TDX guest: identify searches launches of SEV, SEV-ES and SNP'],
      [quote.subarray(0, 1020), 'this is a quote of a TDX guest: identify searches launches of SEV, SEV-ES and SNP'],
    ] as const) {
      const [hex, base64] = (['hex', 'base64'] as const).map((encoding) => Buffer.from(bytes).toString(encoding));
      fs.writeFileSync(at('bytes'), bytes);
      fs.writeFileSync(at('hex'), `${hex}\n`);
      fs.writeFileSync(at('base64'), (base64 ?? '').replace(/(.{76})/g, '$1\n'));
      for (const evidence of ['bytes', 'hex', 'base64', hex ?? '', `0x${hex?.toUpperCase()}`, base64 ?? '']) {
        const { status, stderr } = await bootseal(['identify', evidence, '--firmware', 'fw'], folder);
        expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringContaining(`error: ${message}\n`) });
      }
    }
    fs.writeFileSync(at('digits'), 'ab'.repeat(40));
    for (const evidence of ['digits', 'ab'.repeat(40)]) {
      const { stderr } = await bootseal(['identify', evidence, '--firmware', 'fw'], folder);
      expect(stderr).toContain(
        'error: 80 hexadecimal digits are neither a digest, a launch measurement nor a report\n',
      );
    }
  });

  it('takes a short text that is of no use for the name of a file, though it is base64', async () => {
    // The start of an HCL container, in base64.
    const name = Buffer.from('HCLAab').toString('base64');
    fs.writeFileSync(at(name), '07'.repeat(48));
    expect(await bootseal(['identify', name, '--firmware', 'fw', '--vcpus', '1'], folder)).toMatchObject({ status: 1 });
  });
});
