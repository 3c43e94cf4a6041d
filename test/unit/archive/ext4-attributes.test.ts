import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkExt4Attributes } from '../../../src/core/archive/ext4-attributes.ts';
import type { Inode } from '../../../src/core/archive/tree.ts';
import { BootsealError } from '../../../src/core/errors.ts';

const check = (xattrs: Readonly<Record<string, Uint8Array>>) =>
  checkExt4Attributes('a', { xattrs: new Map(Object.entries(xattrs)) } as unknown as Inode);
const refuses = (xattrs: Readonly<Record<string, Uint8Array>>, message: string) =>
  expect(() => check(xattrs)).toThrow(
    expect.objectContaining({ kind: 'format', message, hint: expect.stringContaining('setfattr') }),
  );
const bytes = (size: number) => new Uint8Array(size);
/** Of owner, group and others, as setfacl writes it. */
const ACL = Uint8Array.from([
  ...[2, 0, 0, 0],
  ...[1, 0, 6, 0, 255, 255, 255, 255],
  ...[4, 0, 4, 0, 255, 255, 255, 255],
  ...[0x20, 0, 4, 0, 255, 255, 255, 255],
]);

describe('checkExt4Attributes', () => {
  it('lets one attribute fill its block, and no more', () => {
    check({ 'user.a': bytes(4096 - 32 - 4 - 16 - 4) });
    refuses(
      { 'user.a': bytes(4041) },
      '"a": the attribute "user.a" has 4041 bytes, more than ext4 keeps in a block of 4096',
    );
  });

  it('lets several fill block and inode, and no more', () => {
    check({ 'user.a': bytes(4040), 'user.b': bytes(68) });
    refuses({ 'user.a': bytes(4040), 'user.b': bytes(69) }, '"a": its attributes take 4152 bytes, and ext4 keeps 4148');
  });

  it('takes access control lists, and what only has their name not', () => {
    check({ 'system.posix_acl_access': ACL, 'user.a': bytes(4040) });
    for (const other of [
      bytes(0),
      bytes(4),
      ACL.subarray(0, -1),
      Uint8Array.of(1, ...ACL.subarray(1)),
      Uint8Array.from([...ACL.subarray(0, 4), 3, ...ACL.subarray(5)]),
    ]) {
      refuses(
        { 'system.posix_acl_default': other },
        '"a": the attribute "system.posix_acl_default" is no access control list',
      );
    }
  });

  it('gives nothing or a typed error for any value', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('user.a', 'system.posix_acl_access'),
        fc.uint8Array({ maxLength: 64 }),
        (name, value) => {
          try {
            check({ [name]: value });
          } catch (error) {
            expect(error).toBeInstanceOf(BootsealError);
          }
        },
      ),
    );
  });
});
