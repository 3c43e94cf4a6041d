/** @module Every key that a command prints with --json stands in the page that documents it: scripts depend on them. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFirmware } from '../../src/core/firmware/firmware.ts';
import { mrtd } from '../../src/core/measurement/mrtd.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { bootseal, type Ran, scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';
import { writeLaunch } from '../launch-record.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const ROME = path.join(ROOT, 'test/fixtures/sev-crate/rome');

const { folder, remove } = scratch();
afterAll(remove);

beforeAll(() => {
  const files = {
    fw: 'debian-ovmf/OVMF.amdsev_2026.08.fd',
    kernel: 'synthetic/kernel.bin',
    ovmf: 'debian-ovmf/OVMF_2025.02-8+deb13u1.fd',
    linux: 'tdx-boot/linux.efi',
    code: 'sev-snp-measure/svsm_ovmf.fd',
    svsm: 'sev-snp-measure/svsm.bin',
    'all.igvm': 'igvm/all.igvm',
    ccel: 'go-tdx-guest/ccel_data.dat',
    quote: 'go-tdx-guest/cos-113-tdx-quote.dat',
  };
  for (const [name, from] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), fixture(from));
  fs.writeFileSync(path.join(folder, 'kernel.fd'), fixture('sev-snp-measure/ovmf_OvmfX64_suffix.bin'));
  const ovmf = fixture(files.ovmf);
  const ofOvmf = Uint8Array.from(fixture(files.quote));
  ofOvmf.set(mrtd(ovmf, parseFirmware(ovmf), 'page-wise', nodeHashes), 184);
  fs.writeFileSync(path.join(folder, 'of-ovmf'), ofOvmf);
  const report = new Uint8Array(1184);
  report[0] = 3;
  fs.writeFileSync(path.join(folder, 'report'), report);
  fs.writeFileSync(path.join(folder, 'passphrase'), 'correct horse');
  writeLaunch(path.join(folder, 'launch'), []);
});

/** Returns the keys of all objects in a value. */
function keysOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(keysOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)]);
}

/** Returns those keys of some JSON text that a page names nowhere. */
function undocumented(json: string, page: string): string[] {
  const text = fs.readFileSync(path.join(ROOT, page), 'utf8');
  const keys = [...new Set(keysOf(JSON.parse(json)))];
  expect(keys.length).toBeGreaterThan(0);
  return keys.filter((key) => !new RegExp(`[\`".]${key}[\`"]`).test(text));
}

const OPEN = '--tk launch/tk --measurement launch/measurement.b64';

describe('the keys of --json', () => {
  // In order: later lines read what earlier ones wrote.
  it.each([
    ['docs/firmware.md', 'firmware inspect fw --json'],
    ['docs/firmware.md', 'firmware lint fw --platform sev --json'],
    ['docs/firmware.md', 'firmware inspect fw --descriptor'],
    ['docs/image-build.md', 'image build --from passphrase --verity --shape gpt --out verity.img --json'],
    ['docs/image.md', 'image inspect verity.img --json'],
    ['docs/image.md', 'image verify verity.img --json'],
    ['docs/image.md', 'image extract verity.img --out verity.raw --json'],
    ['docs/identify.md', `identify ${'00'.repeat(48)} --firmware fw --firmware kernel.fd --vcpus 1 --json`],
    ['docs/identify.md', 'identify report --firmware fw --vcpus 1 --json'],
    ['docs/measure.md', 'measure sev --firmware fw --kernel kernel --initrd kernel --plan --json'],
    ['docs/measure.md', 'measure snp --firmware fw --vcpus 1,2 --cpu EPYC,EPYC-Milan --plan --json'],
    ['docs/measure.md', 'measure snp --firmware fw --kernel kernel --vcpus 2 --cpu EPYC --plan --json'],
    ['docs/measure.md', 'measure snp --firmware descriptor.json --profile ec2 --json'],
    ['docs/measure.md', 'measure snp --firmware code --svsm svsm --vars-size 540672 --cpu EPYC --json'],
    ['docs/measure.md', 'measure tdx --firmware fw --plan --json'],
    ['docs/measure.md', 'measure tdx --firmware ovmf --kernel linux --plan --json'],
    ['docs/explain.md', 'explain plans tdx.json tdx.json --json'],
    ['docs/igvm.md', 'measure igvm all.igvm --plan --json'],
    ['docs/explain.md', 'explain plans plan.json plan.json --json'],
    ['docs/explain.md', 'explain snp --firmware fw --vcpus 3 --cpu EPYC --profile ec2 --against plan.json --json'],
    [
      'docs/session.md',
      `session create --platform sev-es --platform-certs ${ROME} --policy nodbg,noks,nosend,es --firmware fw --kernel kernel --cpu EPYC --accept-firmware enforcing-some-unverified --out session --json`,
    ],
    ['docs/ccel.md', 'verify ccel ccel --quote quote --json'],
    ['docs/ccel.md', 'verify ccel ccel --quote of-ovmf --firmware ovmf --kernel linux --json'],
    ['docs/secret.md', 'verify launch --record launch/record.json --measurement launch/measurement.b64 --json'],
    [
      'docs/secret.md',
      'secret build --record launch/record.json --measurement launch/measurement.b64 --secret disk-passphrase=passphrase --out packet --json',
    ],
    ['docs/secret.md', `secret inspect packet ${OPEN} --json`],
    ['docs/secret.md', `secret open packet ${OPEN} --out table --json`],
  ])('%s has those of %s', async (page, typed) => {
    const ran: Ran = await bootseal(typed.split(' '), folder);
    expect(ran.stdout, ran.stderr).not.toBe('');
    if (typed.includes('--vcpus 2 --cpu EPYC --plan')) fs.writeFileSync(path.join(folder, 'plan.json'), ran.stdout);
    if (typed.includes('--kernel linux --plan')) fs.writeFileSync(path.join(folder, 'tdx.json'), ran.stdout);
    if (typed.endsWith('--descriptor')) fs.writeFileSync(path.join(folder, 'descriptor.json'), ran.stdout);
    expect(undocumented(ran.stdout, page)).toEqual([]);
  });

  it('and those of a record stand in docs/session.md', () => {
    const text = fs.readFileSync(path.join(folder, 'launch', 'record.json'), 'utf8');
    expect(keysOf(JSON.parse(text))).toContain('measurement'); // it is used by now
    expect(undocumented(text, 'docs/session.md')).toEqual([]);
  });

  it('and those of a failure in the README', async () => {
    const { stdout, stderr } = await bootseal(['secret', 'inspect', 'fw', '--json', '--value', 'x'], folder);
    expect(stdout).toBe('');
    expect(undocumented(stderr, 'README.md')).toEqual([]);
  });
});
