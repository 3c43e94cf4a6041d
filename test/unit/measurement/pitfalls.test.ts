/**
 * @module Silent wrong answers and pitfalls of other tools for launch measurements, and the tests in which bootseal refuses or does it
 * right. `COVERED` names them all: each row by a phrase of the test file that holds it. Below are those that have no place elsewhere.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { placeSvsm, svsmVcpuPages } from '../../../src/core/measurement/svsm.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { bootseal, scratch } from '../../cli/script.ts';
import { failure } from '../../failure.ts';
import { join } from '../../firmware-image.ts';
import { fixture } from '../../fixtures.ts';
import { writeLaunch } from '../../launch-record.ts';
import { efiProgram, UKI_SECTIONS } from '../../unified-kernel.ts';

const HERE = 'unit/measurement/pitfalls.test.ts';

/** What others get wrong without a word, with exit status 0; then what a tool has to get right. */
const COVERED: readonly (readonly [what: string, file: string, phrase: string])[] = [
  ['no vCPU, or less', 'cli/measure.txt', '--vcpus -3'],
  ['features beyond 64 bits', 'cli/measure.txt', '--vmsa-features 0xffffffffffffffffff'],
  ['SNP with firmware that has no SEV metadata', 'unit/measurement/refusals.test.ts', 'snp-fw-without-sev-metadata'],
  ['SNP with a build for TDX only', 'unit/measurement/refusals.test.ts', 'snp-tdx-only-build'],
  ['features of SEV-ES left out', 'cli/measure.txt', 'DebugSwap changes the digest (sev-snp-measure ignores it)'],
  ['SVSM: kernel left out', 'unit/measurement/refusals.test.ts', "['svsm-with-kernel', 'usage'"],
  ['SVSM: features left out', 'unit/measurement/refusals.test.ts', 'measures the features of an SVSM guest'],
  ['command line without its blanks', 'cli/measure.txt', "--cmdline ' leading and trailing spaces '"],
  ['firmware digest as hex where base64 was asked for', 'cli/measure.txt', '--plan --format base64'],
  ['command line without a kernel', 'cli/measure.txt', "--cmdline ''"],
  ['hex read as base64 and cut, then signed', HERE, 'reads a digest by its length'],
  ['base64 of the hex text', 'cli/measure.txt', 'fryIBmzlSu0wrl3627KYYToEbv/fWPu6NYHLdS13MfA4BfsBVLu'],
  ['a needless block behind a secret', 'unit/secret/table.test.ts', 'adds no block to a table that is aligned already'],
  ['a secret larger than the area', HERE, 'refuses a secret of 20000 bytes'],
  ['a packet for an unverified measurement', 'cli/secret-attacks.txt', 'A measurement that is another'],

  ['1: sections in file order', 'unit/measurement/launches.test.ts', 'keeps a plan whose last digest'],
  ['1: unknown sections', 'unit/measurement/launches.test.ts', 'measures unknown types as zero only when asked to'],
  ['2: where the table stands', 'unit/measurement/launches.test.ts', 'needs the hash area inside the one page'],
  ['2: no kernel, a zero page', 'unit/measurement/launches.test.ts', 'tells page types apart'],
  ['2: a kernel that nothing measures', 'cli/measure.txt', 'without --kernel the digest covers the firmware only'],
  ['3: command line byte for byte', 'cli/measure.txt', 'The command line is measured byte for byte'],
  ['3: a final newline is said', 'cli/measure.txt', "stderr 'ends in a newline'"],
  ['4: an empty initrd is none', HERE, 'hashes an empty initrd as none'],
  ['4: a unified kernel image whole', HERE, 'measures a unified kernel image whole'],
  ['5: EC2, CPUID page last', 'unit/measurement/launches.test.ts', 'measures the CPUID page last under EC2'],
  ['5: EC2, RDX now and before', 'unit/measurement/vmsa.test.ts', 'differs between EC2 profiles in RDX alone'],
  ['5: EC2, kernel hashes and CPU', 'cli/measure.txt', 'guests under profile ec2 boot from their disk'],
  ['6: GCE', 'unit/measurement/vmsa.test.ts', 'are told apart by what enters a digest'],
  ['6: GCE, no SVSM of QEMU’s', HERE, 'starts an SVSM under QEMU only'],
  [
    '7: features fit and agree with the platform',
    'unit/measurement/vcpus.test.ts',
    'must fit and agree with the platform',
  ],
  ['8: floating-point state of both kernels', 'unit/measurement/vmsa.test.ts', 'seves-legacy-bsp-milan'],
  ['9: number of vCPUs', 'unit/measurement/vcpus.test.ts', 'are 1 to 4096'],
  ['9: one vCPU more than believed (Kata)', HERE, 'finds the vCPU that Kata adds'],
  ['10: CPU models', 'unit/measurement/cpu-models.test.ts', 'are those of QEMU 11, all of them'],
  ['10: -cpu host and other CPUs', 'cli/measure.txt', 'whatever the host has'],
  ['11: code without variables', 'unit/firmware/inspect.test.ts', 'is named after what is in it'],
  ['11: sizes', 'cli/measure.txt', 'QEMU starts SNP guests only with firmware of whole 64 KiB'],
  ['11: pages outside of memory', 'unit/measurement/launches.test.ts', 'refuses a section where QEMU has no memory'],
  ['11: areas outside of memory', 'unit/firmware/areas.test.ts', 'lies where the machines of QEMU have no memory'],
  ['11: only the code is measured', 'cli/identify.test.ts', 'finds the code part of an image'],
  [
    '12: SVSM and variables',
    'unit/measurement/launches.test.ts',
    'lies below the variables, which lie below the firmware',
  ],
  ['12, 19: IGVM is no firmware', 'unit/firmware/tables.test.ts', 'is no IGVM file'],
  [
    '19: sizes of areas and pages, shared pages, masks',
    'unit/measurement/igvm.test.ts',
    'says where loaders differ, exactly when they do',
  ],
  ['13: 48 bytes, no mismatch', 'cli/verify-input.txt', 'What is no measurement is never called a mismatch'],
  ['13: policy of 32 bits', 'unit/session/policy.test.ts', 'refuses more than 32 bits'],
  ['13: versions are bytes', 'cli/verify-input.txt', '--api-minor 300 is more than 255'],
  ['13: every bit counts', 'unit/measurement/verify-launch.test.ts', 'cannot change any bit'],
  ['14: room of a table', 'unit/secret/table.test.ts', 'takes exactly what the room holds'],
  ['14: GUIDs once', 'cli/secret-attacks.txt', 'two secrets for 736869e5'],
  ['14: paths and bytes', 'cli/secret-build.txt', 'paths with ":", "=" and ","'],
  ['14: keys for their owner alone', 'cli/session-create.txt', 'mode launch/tk 600'],
  ['14: nothing is overwritten', 'cli/secret-build.txt', 'An existing folder is kept, and the record with it'],
  ['15: the chain first, up to AMD', 'cli/session-create.txt', 'refused before anything is written'],
  ['15: policies in words and numbers', 'unit/session/policy.test.ts', "describe('parsePolicy'"],
  ['16: what of a report is compared', 'cli/identify.test.ts', 'only the measurement of the report was compared'],
  ['16: versions, Azure', 'unit/attestation/snp-report.test.ts', 'is found in Azure’s container'],
  ['17: names of domains, as they are', 'cli/launch-inject.test.ts', 'domstate --domain web'],
  ['18: TDX, the order of pages', 'unit/measurement/mrtd.test.ts', 'are in two passes all pages of a section'],
  [
    '18: TDX, code without variables',
    'unit/measurement/tdx-sections.test.ts',
    'refused where they are not in the file',
  ],
  ['18: TDX, a measured HOB', 'unit/measurement/tdx-sections.test.ts', 'a measured HOB'],
  ['19: no command guesses at IGVM', HERE, 'has no command that would answer'],
  ['20: digests in every encoding', 'cli/identify.txt', 'upper case, 0x and base64 are taken as well'],
  ['20: a digest in the place of a measurement', 'cli/verify-input.txt', 'probably an SNP launch digest'],
];

describe('every silent wrong answer and pitfall', () => {
  it.each(COVERED)('%s: has its test', (_what, file, phrase) => {
    const text = fs.readFileSync(path.join(import.meta.dirname, '..', '..', file), 'utf8');
    const own = file === HERE ? text.slice(text.indexOf('\n];')) : text;
    expect(own.includes(phrase), `${file} has no ${phrase}`).toBe(true);
  });
});

const { folder, remove } = scratch();
afterAll(remove);
const run = (typed: string) => bootseal(typed.split(' '), folder);
const write = (name: string, bytes: Uint8Array | string) => fs.writeFileSync(path.join(folder, name), bytes);

beforeAll(() => {
  write('fw', fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
  write('kernel', fixture('synthetic/kernel.bin'));
  write('empty', '');
  writeLaunch(path.join(folder, 'launch'), []);
});

describe('a direct boot', () => {
  it('hashes an empty initrd as none, as QEMU does', async () => {
    for (const platform of ['sev', 'snp --cpu EPYC']) {
      const without = await run(`measure ${platform} --firmware fw --kernel kernel`);
      expect(await run(`measure ${platform} --firmware fw --kernel kernel --initrd empty`)).toMatchObject({
        status: 0,
        stdout: without.stdout,
      });
      expect((await run(`measure ${platform} --firmware fw --kernel kernel --initrd kernel`)).stdout).not.toBe(
        without.stdout,
      );
    }
  });

  it('measures a unified kernel image whole, as QEMU loads it, and says that what is in it enters no other hash', async () => {
    const uki = join(efiProgram(UKI_SECTIONS), new Uint8Array(100_000).fill(7));
    write('uki', uki);
    const measured = await run('measure sev --firmware fw --kernel uki --json');
    expect(JSON.parse(measured.stdout).inputs).toEqual({
      firmware: { sha256: expect.any(String), bytes: 4096 },
      kernel: { sha256: bytesToHex(nodeHashes.sha256(uki)), bytes: uki.length },
      cmdline: { sha256: bytesToHex(nodeHashes.sha256(new Uint8Array())), bytes: 0 },
    });
    expect(measured.stderr).toContain(
      'note: the kernel is a unified kernel image: its hash covers the whole file with its sections .cmdline, .initrd, .linux; the hashes of initrd and command line are those of --initrd and --cmdline alone\n',
    );
    const changed = uki.slice();
    changed[changed.length - 1] = 8;
    write('uki', changed);
    expect((await run('measure sev --firmware fw --kernel uki')).stdout).not.toBe(
      `${JSON.parse(measured.stdout).results[0].digest}\n`,
    );
    expect((await run('measure sev --firmware fw --kernel kernel')).stderr).not.toContain('unified kernel');
  });
});

describe('a guest', () => {
  it('starts an SVSM under QEMU only: what GCE does there is not described', () => {
    const svsm = placeSvsm(
      fixture('sev-snp-measure/svsm.bin'),
      parseFirmware(fixture('sev-snp-measure/svsm_ovmf.fd')),
      540672,
    );
    for (const name of ['gce-milan', 'gce-genoa', 'ec2', 'krun']) {
      expect(failure(() => svsmVcpuPages(findProfile(name), svsm, 1, 1n))).toMatchObject({
        kind: 'usage',
        message: `profile ${name} cannot start an SVSM`,
      });
    }
  });

  it('finds the vCPU that Kata adds: identify counts, whatever the owner believes', async () => {
    const digest = (vcpus: number) => run(`measure snp --firmware fw --cpu EPYC-Milan --vcpus ${vcpus}`);
    const [believed, measured] = [await digest(4), await digest(5)];
    expect(measured.stdout).not.toBe(believed.stdout);
    const found = await run(`identify ${measured.stdout.trim()} --firmware fw --cpu EPYC-Milan --json`);
    expect(JSON.parse(found.stdout).match).toMatchObject({ vcpus: 5, cpu: 'EPYC-Milan' });
  });
});

describe('a digest that is given', () => {
  it('reads a digest by its length: 96 hexadecimal digits are never base64 of 72 bytes, nor is anything cut', async () => {
    const { stdout } = await run('measure snp --firmware fw --cpu EPYC-Milan');
    const hex = stdout.trim();
    const base64 = Buffer.from(hex, 'hex').toString('base64');
    for (const text of [hex, hex.toUpperCase(), `0x${hex}`, base64]) {
      expect(await run(`identify ${text} --firmware fw --cpu EPYC-Milan --vcpus 1`)).toMatchObject({ status: 0 });
    }
    // What another tool takes for 72 bytes and cuts to 48.
    write('cut', Buffer.from(hex, 'base64'));
    expect(await run('identify cut --firmware fw --vcpus 1')).toMatchObject({ status: 3, stdout: '' });
    const launch =
      'verify launch --platform sev --policy 1 --api-major 1 --api-minor 55 --build-id 24 --tk launch/tk --measurement launch/measurement.b64 --digest';
    for (const text of [base64, Buffer.from('22'.repeat(32), 'hex').toString('base64'), hex.slice(0, 63)]) {
      const { status, stderr } = await run(`${launch} ${text}`);
      expect(status).toBe(2);
      expect(stderr).toContain('--digest needs 64 hexadecimal digits');
    }
  });

  it('has no command that would answer for what bootseal does not predict', async () => {
    expect(await run('measure cca')).toMatchObject({ status: 2, stdout: '' });
  });
});

describe('a secret', () => {
  const build = 'secret build --record launch/record.json --measurement launch/measurement.b64 --out packet --secret';

  it('refuses a secret of 20000 bytes, which neither platform nor area takes, and adds no needless block to one of 24', async () => {
    write('large', new Uint8Array(20_000).fill(1));
    write('page', new Uint8Array(4000).fill(1));
    write('small', new Uint8Array(24).fill(1));
    const before = fs.readFileSync(path.join(folder, 'launch/record.json'), 'utf8');
    for (const [name, reason] of [
      ['large', 'larger than 16384 bytes'],
      ['page', "4048 bytes, the firmware's secret area takes 3072"],
    ]) {
      const { status, stdout, stderr } = await run(`${build} disk-passphrase=${name}`);
      expect({ status, stdout }).toEqual({ status: name === 'page' ? 2 : 3, stdout: '' });
      expect(stderr).toContain(reason);
    }
    expect(fs.existsSync(path.join(folder, 'packet'))).toBe(false);
    expect(fs.readFileSync(path.join(folder, 'launch/record.json'), 'utf8')).toBe(before);
    const made = await run(`${build} disk-passphrase=small --json`);
    expect(JSON.parse(made.stdout)).toMatchObject({ payloadBytes: 64 });
  });
});
