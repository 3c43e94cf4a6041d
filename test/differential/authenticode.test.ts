/** @module The Authenticode hash against osslsigncode's, and against what Debian signed of its kernel. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytesToHex } from '../../src/core/hex.ts';
import { authenticode } from '../../src/core/rtmr/authenticode.ts';
import { scratch } from '../cli/script.ts';
import { GUEST, guestKernel, inTree } from '../e2e/guest-tree.ts';
import { describeWith } from '../needs.ts';
import { peProgram } from '../pe-program.ts';

const OSSLSIGNCODE = {
  name: 'osslsigncode',
  files: ['/usr/bin/osslsigncode', '/usr/bin/openssl'],
  how: 'install osslsigncode and openssl',
};

describeWith(OSSLSIGNCODE, "osslsigncode's hash", () => {
  let folder: string;
  let remove: () => void;
  const run = (program: string, words: readonly string[]) =>
    spawnSync(program, words, { cwd: folder, encoding: 'utf8', maxBuffer: 2 ** 24 });
  beforeAll(() => {
    ({ folder, remove } = scratch());
    const key = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'key',
      '-out',
      'cert',
      '-subj',
      '/CN=test',
    ];
    expect(run('/usr/bin/openssl', key).status).toBe(0);
  });
  afterAll(() => remove());

  /** Signs a program and returns the hash that the peer finds in it. */
  function signedHash(program: Uint8Array): string | undefined {
    for (const name of ['in', 'out']) fs.rmSync(path.join(folder, name), { force: true });
    fs.writeFileSync(path.join(folder, 'in'), program);
    run('/usr/bin/osslsigncode', ['sign', '-h', 'sha384', '-certs', 'cert', '-key', 'key', '-in', 'in', '-out', 'out']);
    const { stdout } = run('/usr/bin/osslsigncode', ['verify', '-in', 'out']);
    return /Calculated message digest : ([0-9A-F]{96})/.exec(stdout)?.[1]?.toLowerCase();
  }
  const hashOf = (program: Uint8Array) => bytesToHex(authenticode(program, () => createHash('sha384')));

  it('is ours, before and after it signed the program', () => {
    const size = fc.integer({ min: 1, max: 40 }).map((units) => 64 * units);
    const program = fc
      .record({ sizes: fc.array(size, { minLength: 1, maxLength: 5 }), fill: fc.nat(255), trailing: fc.nat(9) })
      .map(({ sizes, fill, trailing }) => {
        let at = 0x400;
        const sections = sizes.map((bytes, i) => {
          const section = { at, contents: new Uint8Array(bytes).fill(fill + i) };
          at += bytes;
          return section;
        });
        return peProgram({ sections, checksum: fill, trailing: new Uint8Array(8 * trailing).fill(7) });
      });
    for (const bytes of fc.sample(program, 20)) {
      const signed = signedHash(bytes);
      expect(signed).toBe(hashOf(bytes));
      expect(hashOf(new Uint8Array(fs.readFileSync(path.join(folder, 'out'))))).toBe(signed);
    }
  }, 60_000);
});

describeWith(GUEST, "Debian's kernel", () => {
  it('has the hash that Debian signed', () => {
    const kernel = fs.readFileSync(inTree(guestKernel().file));
    const signedAt = kernel.indexOf(Buffer.from(authenticode(kernel, () => createHash('sha256'))));
    const certificatesAt = kernel.readUInt32LE(kernel.readUInt32LE(0x3c) + 24 + 112 + 32);
    expect(certificatesAt).toBeGreaterThan(0);
    expect(signedAt).toBeGreaterThan(certificatesAt);
  });
});
