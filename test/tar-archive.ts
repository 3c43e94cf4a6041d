/** @module Tar archives for tests, each field of which can be anything: real tar writes none of the hostile ones. */

/** An entry; what is left out is what tar would write. */
export interface TestEntry {
  readonly name: string;
  /** Letter of the type; `0` is a file. */
  readonly type?: string;
  readonly data?: Uint8Array | string;
  /** Written into the header in place of the length of `data`. */
  readonly size?: number | Uint8Array;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly linkname?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly prefix?: string;
  /** Records of a pax header that stands before. */
  readonly pax?: Readonly<Record<string, string | Uint8Array>>;
  readonly magic?: string;
  readonly checksum?: number;
}

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const octal = (value: number, size: number) => value.toString(8).padStart(size - 1, '0');

/** Returns an entry with what belongs before it. */
export function tarEntry(entry: TestEntry): Buffer {
  const { name, type = '0', data = '', mode = 0o644, uid = 0, gid = 0, mtime = 1_700_000_000, linkname = '' } = entry;
  const { major = 0, minor = 0, prefix = '', pax, magic = 'ustar\u000000' } = entry;
  const content = typeof data === 'string' ? latin1(data) : Buffer.from(data);
  const block = Buffer.alloc(512);
  const put = (text: string, at: number) => block.write(text, at, 'latin1');
  put(name, 0);
  put(octal(mode, 8), 100);
  put(octal(uid, 8), 108);
  put(octal(gid, 8), 116);
  if (entry.size instanceof Uint8Array) block.set(entry.size, 124);
  else put(octal(entry.size ?? content.length, 12), 124);
  put(octal(mtime, 12), 136);
  put(type, 156);
  put(linkname, 157);
  put(magic, 257);
  put(octal(major, 8), 329);
  put(octal(minor, 8), 337);
  put(prefix, 345);
  put('        ', 148);
  const sum = block.reduce((all, byte) => all + byte, 0);
  put(`${octal(entry.checksum ?? sum, 7)}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  const before = pax === undefined ? [] : [tarEntry({ name: 'pax', type: 'x', data: paxRecords(pax) })];
  return Buffer.concat([...before, block, content, padding]);
}

/** Returns the records of a pax header. */
export function paxRecords(records: Readonly<Record<string, string | Uint8Array>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const body = Buffer.concat([latin1(` ${key}=`), typeof value === 'string' ? latin1(value) : value, latin1('\n')]);
      let length = body.length + 1;
      while (`${length}`.length + body.length !== length) length++;
      return Buffer.concat([latin1(`${length}`), body]);
    }),
  );
}

/** The end of an archive. */
export const TAR_END = Buffer.alloc(1024);

/** Returns a whole archive. */
export function tarArchive(...entries: readonly TestEntry[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), TAR_END]);
}
