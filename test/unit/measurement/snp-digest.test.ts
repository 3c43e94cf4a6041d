import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { SnpDigest, snpFirmwareDigest } from '../../../src/core/measurement/snp.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';

interface Groups {
  readonly gctx: readonly { readonly id: string; readonly expected: { readonly hex: string } }[];
}

const { groups } = vectors<{ groups: Groups }>('measurement.json');

describe('SNP digest chain', () => {
  const expected = (id: string) => groups.gctx.find((entry) => entry.id === id)?.expected.hex;

  it('adds normal pages', () => {
    const pages = new Uint8Array(3 * 4096);
    pages.set(Buffer.from('LGTM'.repeat(4)));
    pages.set(Buffer.from('LGTM'.repeat(4)), pages.length - 16);
    const digest = new SnpDigest(nodeHashes);
    digest.add('normal', 0n, pages);
    expect(bytesToHex(digest.value())).toBe(expected('normal-3-pages'));
  });

  it('adds pages that are all alike, as one by one, until it is told to stop', () => {
    const page = new Uint8Array(4096).fill(5);
    const [one, many] = [new SnpDigest(nodeHashes), new SnpDigest(nodeHashes)];
    const values = [1, 2, 3].map(() => {
      one.add('vmsa', 0xffff_ffff_f000n, page);
      return bytesToHex(one.value());
    });
    const seen: string[] = [];
    const add = (count: number, stopAt?: string) =>
      many.addAlike('vmsa', 0xffff_ffff_f000n, nodeHashes.sha384(page), count, (digest) => {
        seen.push(bytesToHex(digest));
        return seen.at(-1) === stopAt;
      });
    expect(add(0)).toBe(0);
    expect(add(2)).toBe(2);
    expect(add(5, values[2])).toBe(1);
    expect(seen).toEqual(values);
    expect(bytesToHex(many.value())).toBe(values[2]);
  });

  it('adds pages without contents', () => {
    const digest = new SnpDigest(nodeHashes);
    digest.addWithoutContents('zero', 0x9000n, 0x3000);
    expect(bytesToHex(digest.value())).toBe(expected('zero-3-pages'));
  });

  it('forks', () => {
    const digest = new SnpDigest(nodeHashes);
    digest.addWithoutContents('cpuid', 0n, 4096);
    const before = digest.value();
    const fork = digest.fork();
    fork.addWithoutContents('secrets', 0n, 4096);
    expect(digest.value()).toEqual(before);
    expect(fork.value()).not.toEqual(before);
  });

  it('takes whole pages only', () => {
    const digest = new SnpDigest(nodeHashes);
    expect(failure(() => digest.add('normal', 1n, new Uint8Array(4096)))).toEqual({
      kind: 'format',
      message: 'normal pages at 0x1 with 0x1000 bytes: address and length must be multiples of 0x1000',
      hint: expect.any(String),
    });
    expect(failure(() => digest.add('vmsa', 0n, new Uint8Array(4095))).message).toContain('0xfff bytes');
    expect(failure(() => digest.add('vmsa', 0n, new Uint8Array())).kind).toBe('format');
    expect(failure(() => digest.addWithoutContents('zero', 0n, 0)).kind).toBe('format');
    expect(failure(() => new SnpDigest(nodeHashes, new Uint8Array(32))).message).toBe(
      'an SNP launch digest has 48 bytes, not 32',
    );
    expect(digest.value()).toEqual(new Uint8Array(48));
  });

  it('refuses firmware that is not pages', () => {
    expect(failure(() => snpFirmwareDigest(new Uint8Array(5000), 0, nodeHashes))).toMatchObject({
      kind: 'format',
      message: 'the firmware has 5000 bytes; SNP measures whole pages of 4096',
    });
    expect(failure(() => snpFirmwareDigest(new Uint8Array(), 0, nodeHashes)).kind).toBe('format');
  });
});
