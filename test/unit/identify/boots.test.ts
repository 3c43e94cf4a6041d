import { describe, expect, it } from 'vitest';
import { type Belief, type Boot, possibleBoots } from '../../../src/core/identify/boots.ts';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';

const sha = (text: string) => nobleHashes.sha256(Buffer.from(text));
const file = (name: string) => ({ name, sha256: sha(name) });

const boots = (belief: Partial<Belief>): readonly Boot[] =>
  possibleBoots({ kernels: [file('kernel')], initrds: [], cmdlines: [], ...belief }, nobleHashes);

const lines = (belief: Partial<Belief>) =>
  boots(belief).map(({ cmdline, slips }) => [
    cmdline === undefined ? undefined : Buffer.from(cmdline).toString(),
    slips.join(),
  ]);

describe('possible boots', () => {
  it('are one without a kernel', () => {
    expect(boots({ kernels: [], cmdlines: [Buffer.from('a')] })).toEqual([
      { hashes: undefined, kernel: undefined, initrd: undefined, cmdline: undefined, slips: [] },
    ]);
  });

  it('begin with what is believed, and have each command line once', () => {
    expect(lines({ cmdlines: [Buffer.from('a b')] })).toEqual([
      ['a b', ''],
      ['a b\n', 'cmdline-with-newline'],
      ['a b ', 'cmdline-with-space'],
      ['', 'cmdline-empty'],
      ['a b  ', 'cmdline-with-spaces'],
      [' a b', 'cmdline-with-leading-space'],
      ['a b\r\n', 'cmdline-with-crlf'],
      [undefined, 'no-kernel-hashes'],
      [undefined, 'kernel-behind-svsm'],
      ['a b \n', 'cmdline-with-space,cmdline-with-newline'],
    ]);
  });

  it('try a command line without blanks and without its newline', () => {
    expect(lines({ cmdlines: [Buffer.from(' \ta b \n')] })).toEqual([
      [' \ta b \n', ''],
      [' \ta b ', 'cmdline-without-newline'],
      ['a b', 'cmdline-trimmed'],
      [' \ta b \n\n', 'cmdline-with-newline'],
      [' \ta b \n ', 'cmdline-with-space'],
      ['', 'cmdline-empty'],
      [' \ta b \n  ', 'cmdline-with-spaces'],
      ['  \ta b \n', 'cmdline-with-leading-space'],
      [' \ta b \r\n', 'cmdline-with-crlf'],
      [' \ta b \n\r\n', 'cmdline-with-crlf'],
      [undefined, 'no-kernel-hashes'],
      [undefined, 'kernel-behind-svsm'],
      [' \ta b \n \n', 'cmdline-with-space,cmdline-with-newline'],
    ]);
    expect(lines({ cmdlines: [Buffer.from('a b\r\n')] }).slice(1, 3)).toEqual([
      ['a b\r', 'cmdline-without-newline'],
      ['a b', 'cmdline-without-newline'],
    ]);
    expect(lines({ cmdlines: [Buffer.from('\v \r\f')] })[1]).toEqual(['', 'cmdline-trimmed']);
    expect(lines({ cmdlines: [Buffer.from('\x08a\x0e')] }).map(([line]) => line)).not.toContain('a');
  });

  it('try the other kind of line end in place of one that is there', () => {
    expect(lines({ cmdlines: [Buffer.from('a b\n')] })).toContainEqual(['a b\r\n', 'cmdline-with-crlf']);
    expect(lines({ cmdlines: [Buffer.from('a b\r\n')] })).toContainEqual(['a b\n', 'cmdline-with-newline']);
    for (const line of ['a', 'a\r', 'a\r\n\r']) {
      expect(lines({ cmdlines: [Buffer.from(line)] }).map(([other]) => other)).toEqual(
        expect.arrayContaining([`${line}\n`, `${line}\r\n`]),
      );
    }
  });

  it('try a command line of /proc/cmdline without the word that OVMF adds', () => {
    expect(lines({ cmdlines: [Buffer.from('a initrd=initrd')] })).toContainEqual(['a', 'cmdline-without-initrd-word']);
    expect(lines({ cmdlines: [Buffer.from('initrd=initrd a')] })).toContainEqual(['a', 'cmdline-without-initrd-word']);
    for (const saved of ['a initrd=initrd\n', 'initrd=initrd a\n']) {
      expect(lines({ cmdlines: [Buffer.from(saved)] })).toContainEqual([
        'a',
        'cmdline-without-newline,cmdline-without-initrd-word',
      ]);
    }
    for (const line of ['a initrd=initrd ', 'a initrd=initrds', 'initrd=initrd', 'nitrd=initrd', 'initrd=initrds a']) {
      expect(lines({ cmdlines: [Buffer.from(line)] }).map(([, slip]) => slip)).not.toContain(
        'cmdline-without-initrd-word',
      );
    }
  });

  it('take no command line for an empty one', () => {
    expect(lines({})).toEqual([
      ['', ''],
      ['\n', 'cmdline-with-newline'],
      [' ', 'cmdline-with-space'],
      ['  ', 'cmdline-with-spaces'],
      ['\r\n', 'cmdline-with-crlf'],
      [undefined, 'no-kernel-hashes'],
      [undefined, 'kernel-behind-svsm'],
      [' \n', 'cmdline-with-space,cmdline-with-newline'],
    ]);
  });

  it('prefer what one of several command lines is to a slip in another', () => {
    const [, , slip] = lines({ cmdlines: [Buffer.from('a'), Buffer.from('a\n')] });
    expect(lines({ cmdlines: [Buffer.from('a'), Buffer.from('a\n')] }).slice(0, 2)).toEqual([
      ['a', ''],
      ['a\n', ''],
    ]);
    expect(slip).toEqual(['a ', 'cmdline-with-space']);
  });

  it('leave out the initrd, also together with a slip in the command line', () => {
    const all = boots({ initrds: [file('initrd')], cmdlines: [Buffer.from('a')] });
    const counts = all.map(({ slips }) => slips.length);
    expect(counts).toEqual([...counts].sort());
    expect(all[0]).toMatchObject({ kernel: 'kernel', initrd: 'initrd', slips: [] });
    expect(all[0]?.hashes).toEqual({ kernel: sha('kernel'), initrd: sha('initrd'), cmdline: sha('a\0') });
    const missing = all.find(({ slips }) => slips.join() === 'initrd-missing');
    expect(missing).toMatchObject({ initrd: undefined });
    expect(missing?.hashes?.initrd).toEqual(sha(''));
    const two = all.filter(({ slips }) => slips.length === 2).map(({ slips }) => slips.join());
    expect(two).toEqual([
      'cmdline-with-space,cmdline-with-newline',
      'initrd-missing,cmdline-with-newline',
      'initrd-missing,cmdline-with-space',
      'initrd-missing,cmdline-empty',
      'kernel-and-initrd-swapped,cmdline-with-newline',
    ]);
    expect(counts.at(-1)).toBe(2);
  });

  it('have kernel and initrd swapped, each under the option of the other', () => {
    const all = boots({ initrds: [file('initrd')], cmdlines: [Buffer.from('a')] });
    const swapped = all.filter(({ slips }) => slips.includes('kernel-and-initrd-swapped'));
    expect(swapped[0]).toMatchObject({ kernel: 'initrd', initrd: 'kernel', slips: ['kernel-and-initrd-swapped'] });
    expect(swapped[0]?.hashes).toEqual({ kernel: sha('initrd'), initrd: sha('kernel'), cmdline: sha('a\0') });
    expect(swapped.map(({ slips }) => slips.slice(1))).toEqual([[], ['cmdline-with-newline']]);
    const nothing = { name: 'nothing', sha256: sha('') };
    for (const belief of [{}, { initrds: [nothing] }]) {
      expect(boots(belief).filter(({ slips }) => slips.includes('kernel-and-initrd-swapped'))).toEqual([]);
    }
  });

  it('with a changed kernel have the command line and the initrd that its header tells of, or any', () => {
    const change = { at: 0x210, bytes: Uint8Array.of(1) };
    const changed = [
      { sha256: sha('c'), change, initrd: undefined },
      { sha256: sha('d'), change, initrd: 'i2' },
    ];
    const belief = { kernels: [{ ...file('kernel'), changed }], initrds: [file('i1'), file('i2')] };
    const found = boots({ ...belief, cmdlines: [Buffer.from('a'), Buffer.from('b')] }).filter(
      (one) => one.kernelChange && one.slips.length === 1,
    );
    expect(found.map((one) => [one.initrd, Buffer.from(one.cmdline ?? []).toString(), one.slips.join()])).toEqual([
      ['i1', 'a', 'kernel-header'],
      ['i1', 'b', 'kernel-header'],
      ['i2', 'a', 'kernel-header'],
      ['i2', 'a', 'kernel-header'],
      ['i2', 'b', 'kernel-header'],
      ['i2', 'b', 'kernel-header'],
    ]);
    expect(found[2]?.hashes).toMatchObject({ kernel: sha('c'), initrd: sha('i2') });
    expect(found[3]?.hashes).toMatchObject({ kernel: sha('d'), initrd: sha('i2') });
    expect(boots({ kernels: belief.kernels }).filter((one) => one.kernelChange)).toMatchObject([
      { initrd: undefined, slips: ['kernel-header'] },
      { initrd: undefined, slips: ['kernel-header', 'cmdline-with-newline'] },
    ]);
  });

  it('with a changed kernel or the words of Kata are also tried where a newline or the word of OVMF is too much', () => {
    const changed = [{ sha256: sha('c'), change: { at: 0x210, bytes: Uint8Array.of(1) }, initrd: undefined }];
    const cmdlines = [Buffer.from('initrd=initrd a\n')];
    const kernels = [{ ...file('kernel'), changed }];
    const all = boots({ kernels, initrds: [file('i')], cmdlines, kataVcpus: 2 });
    const both = ['cmdline-without-newline', 'cmdline-without-initrd-word'];
    const header = all.filter(({ slips }) => slips[0] === 'kernel-header');
    expect(header.map(({ cmdline }) => Buffer.from(cmdline ?? []).toString())).toEqual([
      'initrd=initrd a\n',
      'initrd=initrd a',
      'initrd=initrd a\n\n',
      'a\n',
      'a',
    ]);
    expect(header.at(-1)).toMatchObject({ initrd: 'i', slips: ['kernel-header', ...both] });
    expect(header.at(-1)?.hashes).toEqual({ kernel: sha('c'), initrd: sha('i'), cmdline: sha('a\0') });
    const kata = all.filter(({ slips }) => slips.join() === ['cmdline-with-kata-words', ...both].join());
    // With nr_cpus=N of three ages, 2 + 2 + 8 lines, for one vCPU and for two; for any number 8 of the runtime in Go, 16 of that in Rust.
    expect(kata.map(({ vcpus }) => vcpus)).toEqual([
      ...Array(24).fill(undefined),
      ...Array(12).fill(1),
      ...Array(12).fill(2),
    ]);
    for (const { cmdline, hashes } of kata) {
      expect(Buffer.from(cmdline ?? []).toString()).toMatch(/^(tsc=.* a|reboot=k .* a selinux=0 console=hvc0)$/);
      expect(hashes?.cmdline).toEqual(sha(`${Buffer.from(cmdline ?? [])}\0`));
    }
    for (const { cmdline, vcpus } of kata.slice(24)) {
      expect(Buffer.from(cmdline ?? []).toString()).toContain(` nr_cpus=${vcpus} `);
    }
  });

  it('with the words of Kata have a slip more where they open a debug console to the host', () => {
    const all = boots({ cmdlines: [Buffer.from('a')], kataVcpus: 1 });
    const opened = all.filter(({ cmdline }) => Buffer.from(cmdline ?? []).includes('agent.debug_console '));
    expect(opened.length).toBeGreaterThan(0);
    expect(all.filter(({ slips }) => slips.includes('cmdline-with-kata-debug-console'))).toEqual(opened);
    for (const { slips } of opened) expect(slips[0]).toBe('cmdline-with-kata-words');
  });

  it('with a hash tree of an image of Kata have no other root', () => {
    const word = 'dm-mod.create="a b"';
    const all = boots({ cmdlines: [Buffer.from('a')], kataVcpus: 1, kataVerity: [word] });
    const kata = all.filter(({ slips }) => slips[0] === 'cmdline-with-kata-words');
    for (const { cmdline } of kata) expect(Buffer.from(cmdline ?? []).toString()).toContain(`${word} root=/dev/dm-0 `);
    expect(kata.length).toBeGreaterThan(0);
  });

  it('are every kernel with every initrd', () => {
    const all = boots({ kernels: [file('k1'), file('k2')], initrds: [file('i1'), file('i2')] });
    const exact = all.filter(({ slips }) => slips.length === 0).map(({ kernel, initrd }) => [kernel, initrd]);
    expect(exact).toEqual([
      ['k1', 'i1'],
      ['k1', 'i2'],
      ['k2', 'i1'],
      ['k2', 'i2'],
    ]);
  });
});
