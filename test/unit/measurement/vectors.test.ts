import { describe, expect, it } from 'vitest';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { measure } from '../../../src/core/measurement/measure.ts';
import { snpFirmwareDigest } from '../../../src/core/measurement/snp.ts';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { requestOf, type Vector } from '../../measurement-vectors.ts';

const { groups } = vectors<{ groups: Record<'launch_digest' | 'peer_generated', Vector[]> }>('measurement.json');
const entries = [...groups.launch_digest, ...groups.peer_generated];

/** sev-snp-measure 0.0.13 mixes the floating-point states of two kernels in this mode, so no platform reports these digests. */
const PEER_BUGS = ['snp-svsm-4vcpu-tool', 'snp-svsm-2vcpu-tool'];

const digestOf = ({ mode, inputs }: Vector): string => {
  const image = fixture(inputs.ovmf);
  if (mode === 'snp:ovmf-hash') return bytesToHex(snpFirmwareDigest(image, parseFirmware(image).gpa, nodeHashes));
  return measure(requestOf(mode, inputs), nodeHashes)
    .map((result) => bytesToHex(result.digest))
    .join();
};

describe('known launch digests', () => {
  it('has not lost entries', () => {
    expect(groups.launch_digest.length).toBe(31);
    expect(groups.peer_generated.length).toBe(71);
  });

  it.each(entries.filter((entry) => !PEER_BUGS.includes(entry.id)))('$id', (entry) => {
    expect(digestOf(entry)).toBe(entry.expected.hex);
  });

  it.each(entries.filter((entry) => PEER_BUGS.includes(entry.id)))('$id is a bug of the peer', (entry) => {
    const right = entries.find((other) => other.id === entry.id.replace('-tool', '-init2'));
    expect(digestOf(entry)).toBe(right?.expected.hex);
    expect(digestOf(entry)).not.toBe(entry.expected.hex);
  });

  it('does not depend on which implementation hashes', () => {
    const small = entries.filter(
      (entry) =>
        /suffix|fake/.test(entry.inputs.ovmf) && (entry.inputs.vcpus ?? 1) < 16 && entry.mode !== 'snp:ovmf-hash',
    );
    expect(small.length).toBeGreaterThan(20);
    for (const { mode, inputs, id, expected } of small) {
      expect(bytesToHex(measure(requestOf(mode, inputs), nobleHashes)[0]?.digest ?? new Uint8Array()), id).toBe(
        expected.hex,
      );
    }
  });
});
