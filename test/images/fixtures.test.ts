import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseFirmware } from '../../src/core/firmware/firmware.ts';
import { fixture, vectors } from '../fixtures.ts';

interface Listed {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const { fixtures } = vectors<{ fixtures: Listed[] }>('measurement.json');
const ROOT = path.join(import.meta.dirname, '..', 'fixtures');

describe('the fixtures', () => {
  it.each(fixtures)('$path is the file that the known answers are for', ({ path: name, size, sha256: expected }) => {
    const bytes = fixture(name);
    expect({ size: bytes.length, sha256: sha256(bytes) }).toEqual({ size, sha256: expected });
  });

  const folders = new Set(fixtures.map((listed) => listed.path.split('/')[0] ?? ''));

  it('are all in the list, but for licences', () => {
    const there = [...folders]
      .flatMap((folder) => fs.readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !entry.name.startsWith('copyright-'))
      .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)).replace(/\.br$/, ''));
    expect(there.sort()).toEqual(fixtures.map((listed) => listed.path).sort());
  });

  it('say where they are from in the README of the tests, folder by folder', () => {
    const text = fs.readFileSync(path.join(ROOT, '..', 'README.md'), 'utf8');
    for (const folder of fs.readdirSync(ROOT)) expect(text).toContain(`| \`${folder}/\` |`);
  });
});

describe('footers of Debian’s OVMF as somebody else read them (secret.json, ovmf_footers_observed)', () => {
  interface Observed {
    readonly firmware: string;
    readonly sha256: string;
    readonly secret: readonly [base: string, size: string];
    readonly hashes: readonly [base: string, size: string];
    readonly reset?: string;
  }
  const { ovmf_footers_observed: observed } = vectors<{ ovmf_footers_observed: Observed[] }>('secret.json');
  /** A base or size of 0 is how a build says that it has no such area. */
  const area = ([base, size]: readonly [string, string]) =>
    Number(base) === 0 || Number(size) === 0 ? undefined : { base: Number(base), size: Number(size) };

  it('are three', () => {
    expect(observed).toHaveLength(3);
  });

  it.each(observed)('$firmware', (seen) => {
    const listed = fixtures.find((candidate) => candidate.sha256 === seen.sha256);
    const firmware = parseFirmware(fixture(listed?.path ?? ''));
    expect(sha256(fixture(listed?.path ?? ''))).toBe(seen.sha256);
    expect(firmware.secretArea).toEqual(area(seen.secret));
    expect(firmware.hashArea).toEqual(area(seen.hashes));
    if (seen.reset !== undefined) expect(firmware.resetAddress).toBe(Number(seen.reset));
  });
});
