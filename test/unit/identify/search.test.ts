import { describe, expect, it } from 'vitest';
import type { Hashes } from '../../../src/core/hash.ts';
import { possibleBoots } from '../../../src/core/identify/boots.ts';
import { firmwareCandidates } from '../../../src/core/identify/firmware-candidates.ts';
import type { Question } from '../../../src/core/identify/identify.ts';
import { Search } from '../../../src/core/identify/search.ts';
import { firmwareOf, type Platform } from '../../../src/core/measurement/measure.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { fixture } from '../../fixtures.ts';

const kernel = { name: 'k', sha256: nodeHashes.sha256(Buffer.from('k')) };
const cmdlines = Array.from({ length: 20 }, (_, i) => Buffer.from(`a${i}`));
const boots = possibleBoots({ kernels: [kernel], initrds: [], cmdlines }, nodeHashes);
const vcpus = {
  profiles: ['qemu', 'ec2'].map(findProfile),
  cpus: [{ signature: 1 }, { signature: 2 }],
  features: [0x1n, 0x0n],
  mostVcpus: 3,
};

function questionOf(file: string, platforms: readonly Platform[]): Question {
  const firmware = firmwareCandidates([{ name: 'fw', ...firmwareOf(fixture(file)) }]);
  return { matches: () => false, platforms, firmware, boots, vcpus };
}

/** Counts what is begun to be hashed. */
function counting() {
  const count = { begun: 0 };
  const counted =
    <A extends readonly unknown[], R>(hash: (...args: A) => R) =>
    (...args: A): R => {
      count.begun++;
      return hash(...args);
    };
  const hashes: Hashes = {
    sha256: counted(nodeHashes.sha256),
    sha384: counted(nodeHashes.sha384),
    startSha256: counted(nodeHashes.startSha256),
    startSha384: counted(nodeHashes.startSha384),
  };
  return { hashes, count };
}

/** It has no place for kernel hashes. */
const PLAIN = 'sev-snp-measure/ovmf_OvmfX64_suffix.bin';

describe('a firmware that cannot be started', () => {
  const withKernel = boots.filter(({ hashes }) => hashes !== undefined);

  it.each([[['sev', 'sev-es']], [['snp']]] as const)(
    'is never hashed for %j, however many launches have it',
    (platforms) => {
      const { hashes, count } = counting();
      const search = new Search({ ...questionOf(PLAIN, platforms), boots: withKernel }, hashes);
      for (let unit = 0; unit < search.units; unit++) expect(search.tryUnit(unit)).toMatchObject({ tried: 0 });
      expect(search.units).toBeGreaterThanOrEqual(withKernel.length * platforms.length);
      expect(count.begun).toBe(0);
      const boots = 'all';
      const reason = expect.stringContaining('cannot measure a kernel');
      const ruledOut = platforms.map((platform) => ({ platform, boots, profiles: undefined, reason }));
      expect(search.ruledOutUpTo(search.units)).toMatchObject(ruledOut);
    },
  );

  it('is told of by a search that tried nothing itself, without a hash', () => {
    const question = questionOf(PLAIN, ['sev', 'sev-es', 'snp']);
    const tried = new Search(question, nodeHashes);
    for (let unit = 0; unit < tried.units; unit++) tried.tryUnit(unit);
    const { hashes, count } = counting();
    const search = new Search(question, hashes);
    search.explain(search.units - 1, () => ({ done: false, tried: 0 }));
    expect(search.ruledOutUpTo(search.units)).toEqual([]);
    search.explain(1, () => ({ done: true, tried: 0 }));
    expect(search.ruledOutUpTo(search.units)).toMatchObject([{ platform: 'sev' }, { platform: 'sev-es' }]);
    search.explain(search.units - 1, () => ({ done: true, tried: 0 }));
    expect(search.ruledOutUpTo(search.units)).toEqual(tried.ruledOutUpTo(search.units));
    expect(search.ruledOutUpTo(search.units)).toHaveLength(3);
    expect(search.coverage(() => ({ done: true, tried: 0 }))).toMatchObject([
      { launches: { tried: 0 } },
      { launches: { tried: 0 } },
      { launches: { tried: 0 } },
    ]);
    expect(count.begun).toBe(0);
  });
});
