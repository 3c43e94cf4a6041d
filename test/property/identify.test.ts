import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findSnpReport } from '../../src/core/attestation/snp-report.ts';
import { BootsealError } from '../../src/core/errors.ts';
import { type Boot, possibleBoots } from '../../src/core/identify/boots.ts';
import { type FirmwareCandidate, firmwareCandidates } from '../../src/core/identify/firmware-candidates.ts';
import { identify, type Question } from '../../src/core/identify/identify.ts';
import type { VcpuCandidate } from '../../src/core/identify/vcpu-candidates.ts';
import { firmwareOf, measure, type Platform } from '../../src/core/measurement/measure.ts';
import { findProfile, PROFILES, SNP_MEASURE_SVSM } from '../../src/core/measurement/profiles.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { fixture } from '../fixtures.ts';

const firmware = firmwareOf(fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
const belief = {
  kernels: [
    {
      name: 'k',
      sha256: nodeHashes.sha256(Buffer.from('k')),
      changed: [
        {
          sha256: nodeHashes.sha256(Buffer.from('changed')),
          change: { at: 0, bytes: Buffer.from('changed') },
          initrd: 'i',
        },
      ],
    },
  ],
  initrds: [{ name: 'i', sha256: nodeHashes.sha256(Buffer.from('i')) }],
};
const cpus = [{ signature: 0x800f12 }, { signature: 0xa00f11 }];
const features = [0x1n, 0x21n, 0x0n, 0x20n];

function answer(question: Question) {
  const search = identify(question, nodeHashes);
  for (;;) {
    const step = search.next();
    if (step.done === true) return step.value;
  }
}

/** The firmware as it is and in the other order of sections, with an SVSM at two places below it and without. */
const guests = firmwareCandidates(
  [{ name: 'fw', ...firmware }],
  [{ name: 'svsm', image: fixture('sev-snp-measure/svsm.bin'), varsSizes: [0, 0x84000] }],
);

/** A launch of this guest, as `measure` is asked for it. */
interface Launch {
  readonly platform: Platform;
  readonly firmware: FirmwareCandidate;
  readonly boot: Boot | undefined;
  readonly vcpu: Partial<VcpuCandidate & { readonly count: number }> | undefined;
}

function digestOf({ platform, firmware: { measured, svsm }, boot, vcpu }: Launch): Uint8Array | undefined {
  const request = {
    platform,
    firmware: measured,
    svsm,
    kernel: boot?.hashes,
    profile: vcpu?.profile ?? findProfile('qemu'),
    vcpus: [vcpu?.count ?? 1],
    cpus: [vcpu?.cpu ?? { signature: 0 }],
    features: vcpu?.features ?? 0n,
  };
  return measure(request, nodeHashes)[0]?.digest;
}

const truth = fc
  .record({
    platform: fc.constantFrom('sev' as const, 'sev-es' as const, 'snp' as const),
    cmdline: fc.string({ maxLength: 12 }),
  })
  .chain(({ platform, cmdline }) => {
    const boots = possibleBoots({ ...belief, cmdlines: [Buffer.from(cmdline)] }, nodeHashes);
    const hosts = PROFILES.filter(({ platforms }) => platform === 'sev' || platforms.includes(platform));
    const possible = guests.filter(({ svsm }) => svsm === undefined || platform === 'snp');
    return fc.constantFrom(...possible).chain((guest) => {
      const svsmHosts = [...hosts, SNP_MEASURE_SVSM].filter(({ svsm }) => svsm !== 'no');
      const profiles = guest.svsm === undefined ? hosts : svsmHosts;
      const bootable = boots.filter(({ hashes }) => guest.svsm === undefined || hashes === undefined);
      return fc.record({
        platform: fc.constant(platform),
        firmware: fc.constant(guest),
        boots: fc.constant(boots),
        boot: fc.constantFrom(...bootable),
        vcpu: fc.record({
          profile: fc.constantFrom(...profiles),
          cpu: fc.constantFrom(...cpus),
          count: fc.integer({ min: 1, max: 6 }),
          features: fc.constantFrom(...(platform === 'snp' ? [0x1n, 0x21n] : [0x0n, 0x20n])),
        }),
      });
    });
  });

describe('identify', () => {
  it('finds what measure made, from the neighbours of the truth', () => {
    fc.assert(
      fc.property(truth, ({ boots, ...launch }) => {
        const digest = digestOf(launch) ?? new Uint8Array();
        const { finding } = answer({
          matches: (value) => Buffer.compare(value, digest) === 0,
          platforms: launch.platform === 'snp' ? ['snp'] : ['sev', 'sev-es'],
          firmware: guests,
          boots,
          vcpus: { profiles: [...PROFILES, SNP_MEASURE_SVSM], cpus, features, mostVcpus: 6 },
        });
        expect(finding?.platform).toBe(launch.platform);
        expect(finding === undefined ? undefined : digestOf(finding)).toEqual(digest);
      }),
      { numRuns: 60 },
    );
  });

  it('says of what was never measured that it was not found, after all that there is', () => {
    const boots = possibleBoots({ ...belief, cmdlines: [Buffer.from('a')] }, nodeHashes);
    const seen = new Set<string>();
    const result = answer({
      matches: (value) => seen.add(Buffer.from(value).toString('hex')) === undefined,
      platforms: ['sev', 'sev-es', 'snp'],
      firmware: firmwareCandidates([{ name: 'fw', ...firmware }]),
      boots,
      vcpus: { profiles: PROFILES, cpus, features, mostVcpus: 6 },
    });
    expect(result.finding).toBeUndefined();
    expect(result.ruledOut).toEqual([]);
    // 17 boots of the firmware in 2 orders: one digest for SEV; for SEV-ES 5 states and for SNP 9, each with 2 words of features and 1 to 6 vCPUs.
    expect(result.tried).toBe(2 * 17 * (1 + 5 * 2 * 6 + 9 * 2 * 6));
    expect(seen.size).toBeLessThanOrEqual(result.tried);
  });
});

describe('bytes of the host that may be a report', () => {
  it('give a report, nothing, or a typed error', () => {
    const header = fc.constantFrom('', '484c4143', '48434c41', '00000000a0040000', '02000000');
    fc.assert(
      fc.property(
        header,
        fc.uint8Array({ maxLength: 3000 }),
        fc.constantFrom(0, 1184, 1216, 4000),
        (start, rest, size) => {
          const bytes = new Uint8Array(Math.max(size, rest.length));
          bytes.set(rest);
          bytes.set(Buffer.from(start, 'hex').subarray(0, bytes.length));
          try {
            expect([undefined, 48]).toContain(findSnpReport(bytes)?.measurement.length);
          } catch (error) {
            expect(error).toBeInstanceOf(BootsealError);
          }
        },
      ),
    );
  });
});
