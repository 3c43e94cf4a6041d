import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { describeWith, type Needed } from '../needs.ts';
import { scratch } from './script.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const { folder, remove } = scratch();

/** Runs a line of shell in which $BOOTSEAL is the built command; returns the status that it prints. */
function statusOf(line: string): string {
  const ran = spawnSync('bash', ['-c', line], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, BOOTSEAL: `${process.execPath} ${path.join(ROOT, 'bin', 'bootseal.js')}` },
  });
  return ran.stderr.trim().split('\n').at(-1) ?? '';
}

const BUILT: Needed = {
  name: 'the built command',
  files: [path.join(ROOT, 'dist', 'bootseal.cjs')],
  how: 'node bin/setup.js builds it',
};

describeWith(BUILT, 'the process', () => {
  beforeAll(() => {
    fs.writeFileSync(path.join(folder, 'fw'), fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd'));
  });
  afterAll(remove);

  // A host cannot see to it that nobody reads, but a script can: `bootseal firmware lint F | head -1 && launch`.
  it('keeps its verdict when nobody reads the result', () => {
    expect(statusOf('{ sleep 0.1; $BOOTSEAL firmware lint fw 2>/dev/null; echo $? >&2; } | true')).toBe('1');
    expect(statusOf('{ sleep 0.1; $BOOTSEAL firmware inspect fw 2>/dev/null; echo $? >&2; } | true')).toBe('0');
  });

  // A child was there (mke2fs), whose end gives the signal back to the system: it would end the process without a word.
  it('leaves nothing when the file size limit is met after a child has run', () => {
    fs.mkdirSync(path.join(folder, 'limit/root'), { recursive: true });
    const build = 'image build --from root --owner root --size 32M --new-key dk --out d.img';
    expect(statusOf(`cd limit; ulimit -f 20000; $BOOTSEAL ${build} >/dev/null 2>&1; echo $? >&2`)).toBe('5');
    expect(fs.readdirSync(path.join(folder, 'limit'))).toEqual(['root']);
  });

  it('keeps its verdict when nobody reads the remarks', () => {
    expect(statusOf('$BOOTSEAL measure snp --firmware fw --cpu EPYC >/dev/null 2>/dev/full; echo $? >&2')).toBe('0');
    expect(statusOf('$BOOTSEAL measure snp --firmware nowhere --cpu EPYC 2>/dev/full; echo $? >&2')).toBe('5');
    expect(statusOf('$BOOTSEAL verify launch --record nowhere --measurement AAAA 2>/dev/full; echo $? >&2')).not.toBe(
      '1',
    );
  });

  it('fails when the result cannot be written', () => {
    expect(statusOf('$BOOTSEAL measure snp --firmware fw --cpu EPYC >/dev/full 2>/dev/null; echo $? >&2')).toBe('5');
  });

  it('says why a result could not be written', () => {
    const full = '>/dev/full 2>err; cat err >&2';
    const said = () => fs.readFileSync(path.join(folder, 'err'), 'utf8');
    statusOf(`$BOOTSEAL measure snp --firmware fw --cpu EPYC ${full}`);
    expect(said()).toMatch(/error: cannot write the result: no space left.*\nbootseal: hint: \S/);
    statusOf(`$BOOTSEAL measure snp --firmware fw --cpu EPYC --json ${full}`);
    expect(JSON.parse(said().trim().split('\n').at(-1) ?? '')).toMatchObject({ error: { kind: 'io' } });
  });

  it('leaves nothing when the result cannot be written, and says so once', () => {
    fs.mkdirSync(path.join(folder, 'unprinted'));
    fs.writeFileSync(path.join(folder, 'unprinted/id.pem'), fixture('sev-snp-measure/id_key_test.pem'));
    const create = `$BOOTSEAL id-block create --digest ${'07'.repeat(48)} --policy smt --id-key id.pem --out block`;
    expect(statusOf(`cd unprinted; ${create} >/dev/full 2>../err; echo $? >&2`)).toBe('5');
    expect(fs.readdirSync(path.join(folder, 'unprinted'))).toEqual(['id.pem']);
    const said = fs.readFileSync(path.join(folder, 'err'), 'utf8');
    expect(said.match(/cannot write the result/g)).toHaveLength(1);
    expect(statusOf(`cd unprinted; { ${create} 2>/dev/null; echo $? >&2; } | true`)).toBe('0');
    expect(fs.readdirSync(path.join(folder, 'unprinted')).sort()).toEqual(['block', 'id.pem']);
  });

  it('does not read without end what should be a kernel', () => {
    const endless = '$BOOTSEAL measure snp --firmware fw --cpu EPYC --kernel /dev/zero 2>&1 >/dev/null';
    expect(statusOf(`${endless} | tail -2 >&2`)).toContain('hint: ');
    expect(statusOf(`${endless} >/dev/null; echo $? >&2`)).toBe('3');
  }, 120_000);

  it('waits for a slow reader of a pipe that does not wait itself', () => {
    const plan = '$BOOTSEAL measure snp --firmware fw --vcpus 1-64 --cpu EPYC --plan 2>/dev/null';
    const bytes = Number(statusOf(`${plan} | wc -c >&2`));
    expect(bytes).toBeGreaterThan(1 << 17);
    const setFlag = `perl -MFcntl -e 'fcntl(STDOUT, F_SETFL, O_WRONLY | O_NONBLOCK)'`;
    expect(statusOf(`{ ${setFlag}; ${plan}; } | { sleep 1; wc -c >&2; }`)).toBe(`${bytes}`);
  });

  it('leaves no keys behind when it is stopped', () => {
    fs.writeFileSync(path.join(folder, 'pdh'), fixture('sev-crate/rome/pdh.cert'));
    const create =
      '$BOOTSEAL session create --platform sev --policy 0xb --pdh pdh --insecure-unverified-pdh --firmware fw --accept-firmware none --out';
    for (let i = 0; i < 8; i++) {
      const delay = (0.15 + i * 0.06).toFixed(2);
      statusOf(`timeout -s TERM ${delay} ${create} stopped-${i} >/dev/null 2>&1; echo done >&2`);
      const found = fs.readdirSync(folder).filter((name) => name.startsWith(`stopped-${i}`));
      expect(found.filter((name) => name !== `stopped-${i}`)).toEqual([]);
      if (found.length > 0) {
        expect(fs.readdirSync(path.join(folder, found[0] ?? '')).sort()).toEqual([
          'godh',
          'record.json',
          'session',
          'tk',
        ]);
      }
    }
  }, 60_000);

  it('says what a search covered before it was stopped', () => {
    const firmware = fs.readFileSync(path.join(folder, 'fw'));
    const names = Array.from({ length: 20 }, (_, i) => `fw-${i}`);
    // Files that are the same are searched once: these differ in their first byte.
    for (const [i, name] of names.entries()) fs.writeFileSync(path.join(folder, name), firmware.fill(i, 0, 1));
    const given = names.map((name) => `--firmware ${name}`).join(' ');
    const search = `$BOOTSEAL identify ${'00'.repeat(48)} ${given} --vcpus 4096`;
    // Short enough for a busy machine to have started, long enough for the search not to have ended.
    expect(statusOf(`timeout -s INT --preserve-status 2 ${search} > covered 2>/dev/null; echo $? >&2`)).toBe('130');
    const said = fs.readFileSync(path.join(folder, 'covered'), 'utf8');
    expect(said).toMatch(/^no match {3}so far, [1-9][0-9]* of at most [1-9][0-9]* launches tried$/m);
    expect(said).toMatch(
      /^part of {4}snp: [1-9][0-9]* of [1-9][0-9]* launches, with [1-9][0-9]* of [0-9]+ firmware, 1 way to boot/m,
    );
    expect(said).not.toContain('covered');
  });

  it('ends by a signal with 130 or 143', () => {
    const line = (signal: string) =>
      `mkfifo ${signal}; $BOOTSEAL measure snp --firmware - --cpu EPYC < ${signal} & pid=$!; exec 3> ${signal}; sleep 0.5; kill -${signal} $pid; wait $pid; echo $? >&2`;
    expect(statusOf(line('INT').replace('&', '& '))).toMatch(/^(130|143)$/);
    expect(statusOf(line('TERM'))).toBe('143');
  });
});
