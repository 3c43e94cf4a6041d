import { describe, expect, it } from 'vitest';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import { possibleBoots } from '../../../src/core/identify/boots.ts';
import { firmwareCandidates } from '../../../src/core/identify/firmware-candidates.ts';
import { type FoundLaunch, identify } from '../../../src/core/identify/identify.ts';
import { cpuSignature, knownSignatures } from '../../../src/core/measurement/cpu-models.ts';
import { measure } from '../../../src/core/measurement/measure.ts';
import { PROFILES } from '../../../src/core/measurement/profiles.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { requestOf, type Vector } from '../../measurement-vectors.ts';

const { groups } = vectors<{ groups: Record<'launch_digest' | 'peer_generated', Vector[]> }>('measurement.json');

/** SVSM launches and bare firmware hashes are not searched for. */
const entries = [...groups.launch_digest, ...groups.peer_generated].filter(({ mode }) =>
  ['sev', 'seves', 'snp'].includes(mode),
);

/** A CPU that only vectors have, besides those that QEMU knows. */
const cpus = [...new Set([...knownSignatures(), cpuSignature({ family: 25, model: 17, stepping: 1 })])];

/** Searches around what the entry says, and returns what was found. */
function found({ mode, inputs, expected }: Vector): FoundLaunch | undefined {
  const request = requestOf(mode, inputs);
  const digest = hexToBytes(expected.hex);
  const file = (name: string) => ({ name, sha256: nodeHashes.sha256(fixture(name)) });
  const cpu = request.cpus[0]?.signature ?? 0;
  const search = identify(
    {
      matches: (value) => Buffer.compare(value, digest) === 0,
      platforms: digest.length === 48 ? ['snp'] : ['sev', 'sev-es'],
      firmware: firmwareCandidates([{ name: inputs.ovmf, ...request.firmware }]),
      boots: possibleBoots(
        {
          kernels: inputs.kernel ? [file(inputs.kernel)] : [],
          initrds: inputs.initrd ? [file(inputs.initrd)] : [],
          cmdlines: [Buffer.from(inputs.append ?? '')],
        },
        nodeHashes,
      ),
      vcpus: {
        profiles: PROFILES,
        cpus: [...new Set([...cpus, cpu])].map((signature) => ({ signature })),
        features: [...new Set([0x1n, 0x21n, 0x201n, 0x0n, 0x20n, request.features])],
        mostVcpus: Math.max(64, inputs.vcpus ?? 1),
      },
    },
    nodeHashes,
  );
  for (;;) {
    const step = search.next();
    if (step.done === true) return step.value.finding;
  }
}

describe('known launch digests', () => {
  it.each(entries)('$id is found', (entry) => {
    const finding = found(entry);
    expect(finding?.boot.slips).toEqual([]);
    expect(finding?.firmware.leftOut).toBe(0);
    const request = requestOf(entry.mode, entry.inputs);
    expect(finding?.platform).toBe(request.platform);
    if (finding?.vcpu === undefined) return;
    const { profile, cpu, count, features } = finding.vcpu;
    const again = { ...request, profile, features, vcpus: [count], cpus: [cpu ?? { signature: 0 }] };
    expect(measure(again, nodeHashes).map(({ digest }) => bytesToHex(digest))).toEqual([entry.expected.hex]);
    expect(count).toBe(request.vcpus[0]);
  });
});
