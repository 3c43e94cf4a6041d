import { describe, expect, it } from 'vitest';
import { possibleBoots } from '../../../../src/core/identify/boots.ts';
import { firmwareCandidates } from '../../../../src/core/identify/firmware-candidates.ts';
import { identify, type SearchOutcome } from '../../../../src/core/identify/identify.ts';
import { Search } from '../../../../src/core/identify/search.ts';
import { computeLaunchMeasurement } from '../../../../src/core/measurement/launch-measurement.ts';
import { firmwareOf, measure, type Platform } from '../../../../src/core/measurement/measure.ts';
import { findProfile, PROFILES } from '../../../../src/core/measurement/profiles.ts';
import { searchInThreads } from '../../../../src/host/identify/search-in-threads.ts';
import { type PlainQuestion, questionOf } from '../../../../src/host/identify/worker-data.ts';
import { nodeHashes } from '../../../../src/host/node-hashes.ts';
import { fixture } from '../../../fixtures.ts';

const THREADS = [1, 2, 3, 8];
const MOST = 1024;
const amdSev = firmwareOf(fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
// It has nowhere to put kernel hashes, so that some of its launches are ruled out.
const plain = firmwareOf(fixture('sev-snp-measure/ovmf_OvmfX64_suffix.bin'));
const file = (name: string) => ({ name, sha256: nodeHashes.sha256(Buffer.from(name)) });
const boots = possibleBoots(
  { kernels: [file('k')], initrds: [file('i')], cmdlines: [Buffer.from('quiet')] },
  nodeHashes,
);

const question = (platforms: readonly Platform[], wanted: PlainQuestion['wanted']): PlainQuestion => ({
  wanted,
  platforms,
  firmware: firmwareCandidates([
    { name: 'plain', ...plain },
    { name: 'amdsev', ...amdSev },
  ]),
  boots,
  vcpus: {
    profiles: PROFILES,
    cpus: [{ signature: 0x800f12 }, { signature: 0xa00f11 }],
    features: [0x1n, 0x21n, 0x0n],
    mostVcpus: MOST,
  },
});

function digestOf(platform: Platform, cmdline: string, vcpus: number): Uint8Array {
  const kernel = {
    kernel: file('k').sha256,
    initrd: file('i').sha256,
    cmdline: nodeHashes.sha256(Buffer.from(`${cmdline}\0`)),
  };
  const features = platform === 'snp' ? 0x21n : 0n;
  const profile = findProfile('qemu-legacy');
  const request = {
    platform,
    firmware: amdSev,
    kernel,
    profile,
    vcpus: [vcpus],
    cpus: [{ signature: 0xa00f11 }],
    features,
  };
  return measure(request, nodeHashes)[0]?.digest ?? new Uint8Array();
}

/** The answer of one thread without any of this. */
function plainAnswer(of: PlainQuestion): SearchOutcome {
  const search = identify(questionOf(of), nodeHashes);
  for (;;) {
    const step = search.next();
    if (step.done === true) return step.value;
  }
}

describe('a search on several threads', () => {
  it('ends as on one: with the same finding, number of launches and reasons, in the same order', async () => {
    const late = question(['snp'], { kind: 'digest', digest: digestOf('snp', 'quiet\n', 700) });
    const expected = plainAnswer(late);
    expect(expected.finding).toMatchObject({ boot: { slips: ['cmdline-with-newline'] }, vcpu: { count: 700 } });
    expect(expected.ruledOut).toMatchObject([
      { firmware: { name: 'plain' }, boots: 'with-kernel', profiles: undefined },
    ]);
    for (const threads of THREADS) {
      expect(await searchInThreads(late, { threads })).toEqual({
        answer: expected,
        coverage: undefined,
        stopped: false,
      });
    }
  });

  it('ends as on one when nothing matches, also with SEV and SEV-ES', async () => {
    const nowhere = question(['sev', 'sev-es'], { kind: 'digest', digest: new Uint8Array(32) });
    const expected = plainAnswer(nowhere);
    expect(expected.finding).toBeUndefined();
    for (const threads of THREADS) {
      const { answer, stopped, coverage } = await searchInThreads(nowhere, { threads });
      expect({ answer, stopped }).toEqual({ answer: expected, stopped: false });
      const [sev, sevEs] = coverage ?? [];
      expect(sev).toMatchObject({ platform: 'sev', complete: true, profiles: [], cpuSignatures: [], mostVcpus: 0 });
      expect(sevEs).toMatchObject({ platform: 'sev-es', complete: true, features: [0n], mostVcpus: MOST });
      expect(sevEs?.profiles).toEqual(
        PROFILES.filter((one) => one.platforms.includes('sev-es')).map(({ name }) => name),
      );
      expect((sev?.launches.tried ?? 0) + (sevEs?.launches.tried ?? 0)).toBe(expected.tried);
    }
  });

  it('compares launch measurements in all of them, and wipes no key but their own', async () => {
    const tik = new Uint8Array(16).fill(7);
    const nonce = new Uint8Array(16).fill(9);
    const api = { major: 1, minor: 55, build: 24 };
    const digest = new Uint8Array(digestOf('sev-es', 'quiet ', 900));
    const measured = computeLaunchMeasurement({ tik, nonce, policy: 5, api, digest });
    const signed = { policies: [1, 5], majors: [1], minors: [55], builds: [23, 24] };
    const wanted = { kind: 'measurement' as const, measure: measured, tik, nonce, signed };
    for (const threads of [1, 2]) {
      const { answer } = await searchInThreads(question(['sev', 'sev-es'], wanted), { threads });
      expect(answer.finding).toMatchObject({ platform: 'sev-es', digest, vcpu: { count: 900 } });
      expect(tik).toEqual(new Uint8Array(16).fill(7));
    }
  });

  it('says how far it is, and ends early when it is told to', async () => {
    const nowhere = question(['snp'], { kind: 'digest', digest: new Uint8Array(48) });
    const all = plainAnswer(nowhere).tried;
    for (const threads of [1, 2]) {
      const shown: number[] = [];
      const stop = new AbortController();
      const onProgress = (tried: number) => {
        shown.push(tried);
        if (shown.length === 2) stop.abort();
      };
      const { answer, stopped, coverage } = await searchInThreads(nowhere, {
        threads,
        onProgress,
        stop: stop.signal,
      });
      expect(coverage).toMatchObject([{ complete: false, launches: { tried: answer.tried } }]);
      expect(coverage?.[0]?.launches.of).toBeGreaterThanOrEqual(all);
      expect(stopped).toBe(true);
      expect(answer.finding).toBeUndefined();
      expect(shown).toHaveLength(2);
      expect(shown[0]).toBeGreaterThan(0);
      expect(shown[1]).toBeGreaterThan(shown[0] ?? 0);
      expect(answer.tried).toBeGreaterThanOrEqual(shown[1] ?? 0);
      expect(answer.tried).toBeLessThan(all);
    }
  });

  it('ends within a unit that takes half a minute, and counts what was tried of it', async () => {
    const signed = {
      policies: [1, 5],
      majors: [1],
      minors: Array.from({ length: 24 }, (_, i) => 40 + i),
      builds: Array.from({ length: 256 }, (_, i) => i),
    };
    const key = { tik: new Uint8Array(16), nonce: new Uint8Array(16), measure: new Uint8Array(32) };
    const [boot] = boots as [(typeof boots)[0]];
    const few = question(['sev-es'], { kind: 'measurement', ...key, signed });
    const long = { ...few, boots: Array.from({ length: 2 ** 17 }, () => boot), firmware: few.firmware.slice(1, 2) };
    const search = new Search(questionOf(long), nodeHashes);
    expect(search.launches() / search.units).toBeGreaterThanOrEqual(1024);
    for (const threads of [1, 2]) {
      const stop = new AbortController();
      const { answer, stopped, coverage } = await searchInThreads(long, {
        threads,
        onProgress: () => stop.abort(),
        stop: stop.signal,
      });
      expect(stopped).toBe(true);
      expect(answer.tried).toBeGreaterThan(0);
      expect(answer.tried).toBeLessThan(1000);
      expect(coverage).toMatchObject([{ complete: false, launches: { tried: answer.tried } }]);
      expect(coverage?.[0]?.mostVcpus).toBeLessThanOrEqual(answer.tried);
    }
  });
});
