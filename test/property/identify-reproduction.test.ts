/** @module The lines that `identify` prints, of whatever it may name: `measure` takes them, and gives the digest. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readScope, type ScopeOptions } from '../../src/cli/identify-scope.ts';
import { reproduction } from '../../src/cli/identify-text.ts';
import { printable } from '../../src/cli/io.ts';
import type { FoundLaunch } from '../../src/core/identify/identify.ts';
import { Search } from '../../src/core/identify/search.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';
import { linuxKernel } from '../linux-kernel.ts';

const { folder, remove } = scratch();

/** Good ones, and such as cannot start on some platform or on none. */
const FIRMWARE = {
  'amdsev.fd': fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'),
  'plain.fd': fixture('sev-snp-measure/ovmf_OvmfX64_suffix.bin'),
  'for svsm.fd': fixture('sev-snp-measure/svsm_ovmf.fd'),
  'sev-only.fd': fixture('gce-tcb-verifier/fake_sev_only.fd'),
  'tdx.fd': fixture('debian-ovmf/OVMF.inteltdx.ms_2026.08.fd'),
  'svsm.bin': fixture('sev-snp-measure/svsm.bin'),
  'tables-none.fd': new Uint8Array(65536).fill(0x90),
  'odd.fd': fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin').subarray(100),
  '-whole.fd': wholeImage(fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin')),
  'go.json': fixture('sev-snp-measure-go/ovmf_img_1.json'),
};

/** With a variable store, which the code can be measured without. */
function wholeImage(end: Uint8Array): Uint8Array {
  const image = new Uint8Array(0x100000);
  image.set(end, image.length - end.length);
  return image;
}

/** What a name may hold that would be a line, a colour, a word of printf's or a shell's, or another direction of text. */
const ODD = 'k\x1b[31m\nmatch  %s %% \\n \'"$(x)`\u009b\u202eé';

const OTHERS: readonly Partial<ScopeOptions>[] = [
  {},
  { kernel: ['kernel'], initrd: ['initrd'], cmdline: ['console=ttyS0 x\n'] },
  { kernel: ['-k l'], initrd: ['-i'], cmdlineFile: ["l'ine"], cmdline: ['--', '-x'] },
  { svsm: ['svsm.bin'], varsSize: '0' },
  { kernel: [ODD], initrd: ['line\n', '-\x1b\n'], cmdline: ["50% of '\\n'"] },
];

/** What chance may leave out: the first and the last launch of each firmware. */
const EXAMPLES = Object.keys(FIRMWARE).flatMap((name): [string, Partial<ScopeOptions>, number, number][] => [
  [name, OTHERS[0] ?? {}, 0, 0],
  [name, OTHERS[1] ?? {}, 0.99, 0.99],
  [name, OTHERS[4] ?? {}, 0.3, 0.5],
]);

/** A launch of that search, as if its digest had been asked for: that part of the way through its units, and through the launches of one. */
async function launchOf(options: ScopeOptions, unitAt: number, launchAt: number): Promise<FoundLaunch | undefined> {
  const out = { isTTY: false, write: () => undefined };
  const io = { cwd: folder, stdin: (async function* () {})(), stdout: out, stderr: out, now: () => new Date(0) };
  const scope = await readScope({ ...io, randomBytes: (size) => new Uint8Array(size) }, options);
  let seen = 0;
  let wanted = -1;
  const matches = () => seen++ === wanted;
  const search = new Search({ matches, platforms: ['sev', 'sev-es', 'snp'], ...scope }, nodeHashes);
  const unit = Math.floor(unitAt * search.units);
  wanted = Math.floor(launchAt * search.tryUnit(unit).tried);
  seen = 0;
  return search.tryUnit(unit).finding;
}

/** Runs the lines in a shell; returns what `measure` is given, in words. */
function wordsOf(lines: readonly string[]): readonly string[] {
  const command = 'bootseal() { printf "%s\\0" "$@"; }';
  const { stdout } = spawnSync('sh', ['-c', [command, ...lines].join('\n')], { cwd: folder, encoding: 'utf8' });
  return stdout.split('\0').slice(0, -1);
}

beforeAll(() => {
  for (const [name, bytes] of Object.entries(FIRMWARE)) fs.writeFileSync(path.join(folder, name), bytes);
  fs.writeFileSync(path.join(folder, 'kernel'), linuxKernel());
  fs.writeFileSync(path.join(folder, 'initrd'), 'initrd');
  fs.writeFileSync(path.join(folder, '-k l'), linuxKernel({ rest: 7 }));
  fs.writeFileSync(path.join(folder, '-i'), 'another initrd');
  fs.writeFileSync(path.join(folder, ODD), linuxKernel({ rest: 9 }));
  fs.writeFileSync(path.join(folder, 'line\n'), 'a third initrd');
  fs.writeFileSync(path.join(folder, '-\x1b\n'), 'a fourth initrd');
  fs.writeFileSync(path.join(folder, "l'ine"), 'caf\xe9\tx  ', 'latin1');
});
afterAll(remove);

describe('the lines of identify', () => {
  it('are taken by measure, which gives the digest', { timeout: 120_000 }, async () => {
    let found = 0;
    const odd = { kernel: 0, initrd: 0 };
    const part = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(FIRMWARE)),
        fc.constantFrom(...OTHERS),
        part,
        part,
        async (firmware, others, unit, launch) => {
          const options = { vcpus: '3', cpu: 'EPYC-v4,EPYC-Milan', ...others, firmware: [firmware] };
          const finding = await launchOf(options, unit, launch);
          if (finding === undefined) return;
          const lines = reproduction(finding, (name) => `made-${found}-${name}`);
          found++;
          if (finding.boot.kernel === ODD) odd.kernel++;
          if (finding.boot.initrd?.endsWith('\n') === true) odd.initrd++;
          expect(lines.filter((line) => printable(line) !== line)).toEqual([]);
          const ran = await bootseal(wordsOf(lines), folder);
          expect(ran, lines.join('\n')).toMatchObject({ status: 0 });
          expect(ran.stdout.trim(), lines.join('\n')).toBe(Buffer.from(finding.digest).toString('hex'));
        },
      ),
      { numRuns: 400, examples: EXAMPLES },
    );
    expect(found).toBeGreaterThan(50);
    expect(odd.kernel).toBeGreaterThan(3);
    expect(odd.initrd).toBeGreaterThan(3);
  });
});
