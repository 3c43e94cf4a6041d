import { describe, expect, it } from 'vitest';
import { InitrdTree } from '../../../src/core/archive/initrd-tree.ts';
import { MAX_MEMBERS, type Member } from '../../../src/core/archive/read-cpio.ts';
import { quoted } from '../../../src/core/luks/quote.ts';
import { failure, HINT } from '../../failure.ts';

const folder = (name: string): Member => ({ name, mode: 0o40755, size: 0, links: 2, target: undefined });
const file = (name: string, links = 1): Member => ({ name, mode: 0o100644, size: 1, links, target: undefined });
const link = (name: string, target: string): Member => ({
  name,
  mode: 0o120777,
  size: target.length,
  links: 1,
  target,
});

function tree(...members: Member[]): InitrdTree {
  const made = new InitrdTree();
  for (const member of members) made.add(member);
  return made;
}

/** As Debian's and Fedora's initrds are: /lib is a link. */
const merged = () =>
  tree(
    folder(''),
    folder('usr'),
    folder('usr/lib'),
    folder('usr/bin'),
    link('lib', 'usr/lib'),
    link('bin', '/usr/bin'),
    link('usr/lib/up', '../../usr/bin/.//'),
    file('usr/bin/busybox', 3),
    file('init'),
    link('usr/bin/sh', 'busybox'),
    link('loop', 'loop'),
    link('out', '../../../usr/lib'),
    link('new', 'usr/share/not/there'),
  );

describe('place', () => {
  it.each<[string, string, string[], boolean]>([
    ['etc/motd', 'etc/motd', ['etc'], false],
    ['/etc/../motd'.replace('/../', '/./'), 'etc/motd', ['etc'], false],
    ['motd', 'motd', [], false],
    ['usr/lib/x.ko', 'usr/lib/x.ko', [], false],
    ['lib/x.ko', 'usr/lib/x.ko', [], false],
    ['lib/modules/6.1/x.ko', 'usr/lib/modules/6.1/x.ko', ['usr/lib/modules', 'usr/lib/modules/6.1'], false],
    ['bin/tool', 'usr/bin/tool', [], false],
    ['lib/up/tool', 'usr/bin/tool', [], false],
    ['out/x', 'usr/lib/x', [], false],
    ['new/x', 'usr/share/not/there/x', ['usr/share', 'usr/share/not', 'usr/share/not/there'], false],
    ['init', 'init', [], true],
    ['bin/sh', 'usr/bin/sh', [], true],
    ['loop', 'loop', [], true],
  ])('of %s is %s', (wanted, name, newFolders, replaces) => {
    expect(merged().place(wanted)).toEqual({ name, newFolders, replaces });
  });

  it.each([
    ['', '"" is no path of a file from the root of the initrd'],
    ['/', '"/" is no path of a file from the root of the initrd'],
    ['a/../b', '"a/../b" is no path of a file from the root of the initrd'],
    ['..', '".." is no path of a file from the root of the initrd'],
    ['usr/lib', '"usr/lib" is a folder of the initrd'],
    ['lib/../lib', '"lib/../lib" is no path of a file from the root of the initrd'],
    ['init/x', '"init/x" leads through the file "init"'],
    ['bin/busybox/x', '"bin/busybox/x" leads through the file "usr/bin/busybox"'],
    ['loop/x', '"loop/x" leads through too many links'],
    ['bin/busybox', '"bin/busybox" is one of several names of one file of the initrd, and all of them would change'],
  ])('refuses %j', (wanted, message) => {
    expect(failure(() => merged().place(wanted))).toMatchObject({ kind: 'usage', message });
  });

  const longest = 'x'.repeat(255);
  it.each([
    ['in the path', `${longest}x/f`],
    ['of the file', `usr/lib/${longest}x`],
    ['in UTF-8', `${'ä'.repeat(127)}xx`],
  ])('refuses a name that no Linux takes, %s', (_, wanted) => {
    expect(failure(() => merged().place(wanted))).toEqual({
      kind: 'usage',
      message: `${quoted(wanted)} has a name of more than 255 bytes, and Linux would leave it out`,
      hint: HINT,
    });
  });
  it('takes the longest, and refuses a longer one that a link leads to', () => {
    expect(merged().place(`${longest}/${'ä'.repeat(127)}x`).newFolders).toEqual([longest]);
    const led = tree(link('l', `${longest}x`));
    expect(failure(() => led.place('l/f')).message).toContain('has a name of more than 255 bytes');
  });

  it('remembers what was placed', () => {
    const made = merged();
    expect(made.place('etc/bootseal/a').newFolders).toEqual(['etc', 'etc/bootseal']);
    expect(made.place('etc/bootseal/b')).toEqual({ name: 'etc/bootseal/b', newFolders: [], replaces: false });
    expect(made.place('etc/bootseal/b').replaces).toBe(true);
    expect(failure(() => made.place('etc/bootseal')).message).toContain('is a folder of the initrd');
    expect(failure(() => made.place('etc/bootseal/a/c')).message).toContain('leads through the file');
  });

  it('takes what was unpacked last', () => {
    expect(tree(link('lib', 'usr/lib'), folder('lib')).place('lib/x').name).toBe('lib/x');
    expect(tree(file('a', 2), file('a')).place('a').replaces).toBe(true);
  });

  it('follows forty links and not one more', () => {
    const chain = (length: number) =>
      tree(...Array.from({ length }, (_, i) => link(`l${i}`, i === length - 1 ? 'end' : `l${i + 1}`)), folder('end'));
    expect(chain(40).place('l0/x').name).toBe('end/x');
    expect(failure(() => chain(41).place('l0/x')).message).toContain('too many links');
  });

  it('leads out of the root no more than Linux lets it', () => {
    expect(tree(link('a', '../../../b')).place('a/x')).toEqual({ name: 'b/x', newFolders: ['b'], replaces: false });
  });
});

it('takes no more names than an initrd can have', () => {
  const made = new InitrdTree();
  for (let i = 0; i < MAX_MEMBERS; i++) made.add(file(`${i}`));
  expect(failure(() => made.add(file('one more')))).toMatchObject({ kind: 'format' });
});
