/** @module Which extended attributes of a file ext4 can keep (Linux, fs/ext4/xattr.h and fs/ext4/acl.h). */
import { layout, u16le, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { shownPath } from './entry.ts';
import type { Inode } from './tree.ts';

/** What a block of 4096 keeps, without its header and the zeros at its end; bytes. */
const IN_BLOCK = 4096 - 32 - 4;

/** What an inode of 256 bytes has room for behind its fields, without magic number and zeros at the end; bytes. */
const IN_INODE = 256 - 128 - 32 - 4 - 4;

/** Bytes of an attribute beside its name and value. */
const ENTRY = 16;

/** Bytes of an access control list, as Linux keeps it: a version, and entries (include/uapi/linux/posix_acl_xattr.h). */
const AclHeader = layout('access control list', { version: u32le });
const AclEntry = layout('entry of an access control list', { tag: u16le, permissions: u16le, id: u32le });
const ACL_VERSION = 2;
/** Owner, user, group of the file, group, mask, others (include/uapi/linux/posix_acl.h). */
const ACL_TAGS = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20];

/** Throws `format` naming the file for attributes that ext4 has no room for, and for access control lists that are none. */
export function checkExt4Attributes(path: string, { xattrs }: Inode): void {
  let all = 0;
  for (const [name, value] of xattrs) {
    const what = `${shownPath(path)}: the attribute ${shownPath(name)}`;
    if (name.startsWith('system.')) {
      if (!isAcl(value)) throw refused(`${what} is no access control list`);
      // It is kept in another form, which is shorter.
      continue;
    }
    const size = ENTRY + up4(name.length - name.indexOf('.') - 1) + up4(value.length);
    if (size > IN_BLOCK) throw refused(`${what} has ${value.length} bytes, more than ext4 keeps in a block of 4096`);
    all += size;
  }
  if (all > IN_BLOCK + IN_INODE) {
    throw refused(`${shownPath(path)}: its attributes take ${all} bytes, and ext4 keeps ${IN_BLOCK + IN_INODE}`);
  }
}

function isAcl(value: Uint8Array): boolean {
  const entries = value.length - AclHeader.size;
  if (entries < 0 || entries % AclEntry.size !== 0 || AclHeader.unpack(value).version !== ACL_VERSION) return false;
  for (let at = AclHeader.size; at < value.length; at += AclEntry.size) {
    if (!ACL_TAGS.includes(AclEntry.unpack(value, at).tag)) return false;
  }
  return true;
}

function refused(what: string): BootsealError {
  return new BootsealError('format', what, {
    hint: 'make the archive without it, with --xattrs-exclude of GNU tar, or remove it from the folder (setfattr --remove)',
  });
}

const up4 = (size: number): number => Math.ceil(size / 4) * 4;
