import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { type MeasureRequest, measure } from '../../../src/core/measurement/measure.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';
import { requestOf, type VectorInputs } from '../../measurement-vectors.ts';

const hex = (of: MeasureRequest) => measure(of, nodeHashes).map((result) => bytesToHex(result.digest));

interface Refusal {
  readonly id: string;
  readonly mode: string;
  readonly inputs: VectorInputs;
  readonly why?: string;
}

const { groups } = vectors<{ groups: Record<'must_fail' | 'should_refuse_or_warn', Refusal[]> }>('measurement.json');

describe('refusals of the known answers', () => {
  it.each(groups.must_fail)('$id', ({ mode, inputs }) => {
    expect(failure(() => measure(requestOf(mode, inputs), nodeHashes))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('cannot measure a kernel'),
    });
  });

  it('cover every row about SEV (tdx-sections.test.ts has those about TDX)', () => {
    const rows = groups.should_refuse_or_warn.filter((row) => row.mode !== 'tdx').map((row) => row.id);
    expect(rows.sort()).toEqual(
      [
        'snp-fw-without-sev-metadata',
        'snp-tdx-only-build',
        'snp-vcpus-0',
        'snp-vcpus-negative',
        'snp-features-over-64bit',
        'snp-ovmf-hash-short',
        'svsm-with-kernel',
        'svsm-with-features-21',
      ].sort(),
    );
  });

  it.each([
    ['snp-fw-without-sev-metadata', 'format', 'no SEV metadata'],
    ['snp-tdx-only-build', 'format', 'has no size'],
    ['snp-vcpus-0', 'usage', '0 is not a number of vCPUs'],
    ['snp-vcpus-negative', 'usage', '-3 is not a number of vCPUs'],
    ['snp-features-over-64bit', 'usage', 'do not fit in 64 bits'],
    ['snp-ovmf-hash-short', 'format', '48 bytes, not 2'],
    ['svsm-with-kernel', 'usage', 'without a kernel'],
  ])('%s', (id, kind, message) => {
    const row = groups.should_refuse_or_warn.find((candidate) => candidate.id === id);
    if (row === undefined) throw new Error(id);
    expect(failure(() => measure(requestOf(row.mode, row.inputs), nodeHashes))).toMatchObject({
      kind,
      message: expect.stringContaining(message),
    });
  });

  const row = groups.should_refuse_or_warn.find(({ id }) => id === 'svsm-with-features-21');
  const guest = requestOf('snp:svsm', row?.inputs ?? { ovmf: '' });
  it.each([2 ** 32, 2 ** 40, 1.5, Number.NaN, -1, undefined as unknown as number])(
    'names a CPU signature of %s, in the library too',
    (signature) => {
      expect(failure(() => measure({ ...guest, cpus: [{ signature }] }, nodeHashes))).toMatchObject({
        kind: 'usage',
        message: `CPU signature ${signature} is not in 0-4294967295`,
      });
    },
  );

  it('name features that are no number, and variables of less than nothing', () => {
    const features = undefined as unknown as bigint;
    expect(failure(() => measure({ ...guest, features }, nodeHashes))).toMatchObject({ kind: 'usage' });
    const image = guest.svsm?.image ?? new Uint8Array();
    for (const varsSize of [-4096, Number.NaN]) {
      expect(failure(() => measure({ ...guest, svsm: { image, varsSize } }, nodeHashes))).toMatchObject({
        kind: 'usage',
      });
    }
  });

  it('measures the features of an SVSM guest, which the peer ignores', () => {
    const row = groups.should_refuse_or_warn.find((candidate) => candidate.id === 'svsm-with-features-21');
    if (row === undefined) throw new Error('lost');
    expect(hex(requestOf(row.mode, row.inputs))).not.toEqual(
      hex(requestOf(row.mode, { ...row.inputs, guest_features: 1 })),
    );
  });
});
