import { describe, expect, it } from 'vitest';
import { findSnpReport, SnpReport } from '../../../src/core/attestation/snp-report.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { failure, HINT } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

/** A report whose every field can be told from its neighbours. */
function report(version = 3): Uint8Array {
  const bytes = Uint8Array.from({ length: 1184 }, (_, i) => i & 0xff);
  bytes.set([version, 0, 0, 0]);
  return bytes;
}

describe('an attestation report', () => {
  it('has its fields where the specification puts them', () => {
    expect(SnpReport.size).toBe(1184);
    const { offset } = SnpReport;
    expect(offset).toMatchObject({
      policy: 8,
      reportData: 0x50,
      measurement: 0x90,
      hostData: 0xc0,
      idKeyDigest: 0xe0,
      authorKeyDigest: 0x110,
      reportId: 0x140,
      reportedTcb: 0x180,
      cpuidFamily: 0x188,
      chipId: 0x1a0,
      signature: 0x2a0,
    });
  });

  it.each([2, 3, 4, 5])('of version %i is read', (version) => {
    const found = findSnpReport(report(version));
    expect(found?.version).toBe(version);
    expect(found?.measurement).toEqual(report().slice(0x90, 0xc0));
    expect(found?.cpuidFamily).toBe(0x88);
  });

  it.each([0, 1, 6, 0x103])('of version %i is refused', (version) => {
    const bytes = report();
    new DataView(bytes.buffer).setUint32(0, version, true);
    expect(() => findSnpReport(bytes)).toThrow(`version ${version} is not known`);
  });

  it('is found in Azure’s container', () => {
    const container = new Uint8Array(2600);
    container.set(Buffer.from('HCLA'));
    container.set(report(2), 32);
    expect(findSnpReport(container)?.measurement).toEqual(report().slice(0x90, 0xc0));
    expect(findSnpReport(container.subarray(0, 32 + 1184))?.version).toBe(2);
    expect(() => findSnpReport(container.subarray(0, 32 + 1183))).toThrow('1215 bytes, too few');
    container[3] = 0;
    expect(findSnpReport(container)).toBeUndefined();
  });

  it('is found in the answer of the guest driver', () => {
    const answer = new Uint8Array(4000);
    new DataView(answer.buffer).setUint32(4, 1184, true);
    answer.set(report(5), 32);
    expect(findSnpReport(answer)?.version).toBe(5);
    expect(findSnpReport(answer.subarray(0, 32 + 1184))?.version).toBe(5);
    expect(findSnpReport(answer.subarray(0, 32 + 1183))).toBeUndefined();
    answer[0] = 1;
    expect(findSnpReport(answer)).toBeUndefined();
    answer.set([0, 0, 0, 0, 0xa1]);
    expect(findSnpReport(answer)).toBeUndefined();
  });

  it.each([0, 3, 48, 1183, 1185])('is not %i bytes of anything', (length) => {
    expect(findSnpReport(new Uint8Array(length))).toBeUndefined();
  });
});

describe('reports of real machines', () => {
  // What must be in them: the policies and TCBs that trustee's tests of these files accept, and what identify cannot make up.
  it.each([
    ['snp-milan-report.bin', 2, 0x3001fn, 'a1f3930413247bb3', [0, 0, 0], 0],
    ['snp-vlek-report.bin', 3, 0x30000n, '8922ebbdd00ec2c5', [0x19, 1, 1], 1],
    ['azure-snp-milan-hcl.bin', 2, 0x3001fn, '9ac48fcac8a2d88a', [0, 0, 0], 0],
    ['azure-snp-genoa-hcl.bin', 3, 0x3001fn, 'f57dc09a507c6ecd', [0x19, 0x11, 1], 0],
  ])('are read: %s', (name, version, policy, measurement, cpu, signingKey) => {
    const report = findSnpReport(fixture(`trustee/${name}`));
    expect(report).toMatchObject({ version, policy, signatureAlgorithm: 1 });
    expect(bytesToHex(report?.measurement ?? new Uint8Array())).toMatch(new RegExp(`^${measurement}`));
    expect([report?.cpuidFamily, report?.cpuidModel, report?.cpuidStepping]).toEqual(cpu);
    expect(((report?.flags ?? 0) >> 2) & 7).toBe(signingKey);
  });

  it('of TDX in Azure’s container are no SNP reports', () => {
    const container = fixture('trustee/azure-tdx-hcl.bin');
    expect(failure(() => findSnpReport(container))).toMatchObject({
      kind: 'format',
      message: 'the HCL container is of a TDX guest: it has a TD report and no SNP report',
      hint: HINT,
    });
    const cut = container.subarray(0, 32 + 1184 + 11);
    expect(failure(() => findSnpReport(cut))).toMatchObject({
      message: 'attestation report: version 129 is not known',
    });
  });
});
