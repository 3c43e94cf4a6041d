/**
 * @module What an initrd unpacks to: its folders, links and files, so that what is added lands where it is meant. Linux unpacks a
 * folder over a link by removing the link (linux init/initramfs.c, clean_path): a "lib" where the initrd has lib → usr/lib would
 * take all of /lib away.
 */
import { BootsealError } from '../errors.ts';
import { quoted } from '../luks/quote.ts';
import { encodeUtf8 } from '../utf8.ts';
import { FILE_TYPE, INITRD_AGAIN } from './cpio.ts';
import { MAX_MEMBERS, type Member, plainName } from './read-cpio.ts';

/** Where a new file comes to lie. */
export interface Placement {
  /** The path without links in it. */
  readonly name: string;
  /** Folders that it needs and that are not there, outermost first. */
  readonly newFolders: readonly string[];
  /** Whether there is something under this name, which the file takes the place of. */
  readonly replaces: boolean;
}

type Node = { readonly kind: 'folder' | 'file' | 'shared' } | { readonly kind: 'link'; readonly target: string };

/** Links that Linux follows on one way (fs/namei.c, MAXSYMLINKS). */
const MAX_LINKS = 40;

/** Bytes of one name on a path (linux include/uapi/linux/limits.h, NAME_MAX); of a member with a longer one nothing is made. */
const MAX_NAME = 255;

/** The tree; members are added in the order in which Linux unpacks them. */
export class InitrdTree {
  readonly #nodes = new Map<string, Node>();

  /** Throws `format` beyond as many members as no initrd has. */
  add({ name, mode, links, target }: Member): void {
    if (name === '') return;
    if (this.#nodes.size >= MAX_MEMBERS)
      throw new BootsealError('format', `initrd: more than ${MAX_MEMBERS} names`, INITRD_AGAIN);
    const type = mode & FILE_TYPE.mask;
    if (target !== undefined) this.#nodes.set(name, { kind: 'link', target });
    else if (type === FILE_TYPE.directory) this.#nodes.set(name, { kind: 'folder' });
    else this.#nodes.set(name, { kind: links > 1 ? 'shared' : 'file' });
  }

  /**
   * Says where a file for the path `wanted` comes to lie when it is unpacked after all that is there, and remembers it.
   *
   * @throws `usage` when it cannot lie there: a folder has the name, a file is on the way, other names share its content, or Linux takes no
   * name of that length
   */
  place(wanted: string): Placement {
    const parts = plainName(wanted).split('/');
    if (parts.includes('..') || parts[0] === '') {
      throw refusal(wanted, 'is no path of a file from the root of the initrd');
    }
    const last = parts.pop() ?? '';
    const newFolders: string[] = [];
    const folder = this.#enter(wanted, parts, newFolders);
    const name = [...folder, last].join('/');
    for (const part of [...newFolders.flatMap((path) => path.split('/').slice(-1)), last]) {
      if (encodeUtf8(part).length <= MAX_NAME) continue;
      throw refusal(wanted, `has a name of more than ${MAX_NAME} bytes, and Linux would leave it out`);
    }
    const there = this.#nodes.get(name);
    if (there?.kind === 'folder') throw refusal(wanted, 'is a folder of the initrd');
    if (there?.kind === 'shared') {
      throw refusal(wanted, 'is one of several names of one file of the initrd, and all of them would change');
    }
    for (const path of newFolders) this.#nodes.set(path, { kind: 'folder' });
    this.#nodes.set(name, { kind: 'file' });
    return { name, newFolders, replaces: there !== undefined };
  }

  /** Goes along `parts` as Linux does; returns the folder without links in its path. */
  #enter(wanted: string, parts: readonly string[], newFolders: string[]): readonly string[] {
    let at: string[] = [];
    const ahead = [...parts];
    let followed = 0;
    for (let part = ahead.shift(); part !== undefined; part = ahead.shift()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        at.pop();
        continue;
      }
      const next = [...at, part];
      const name = next.join('/');
      const there = this.#nodes.get(name);
      if (there?.kind === 'link') {
        if (++followed > MAX_LINKS) throw refusal(wanted, 'leads through too many links');
        if (there.target.startsWith('/')) at = [];
        ahead.unshift(...there.target.split('/'));
        continue;
      }
      if (there !== undefined && there.kind !== 'folder')
        throw refusal(wanted, `leads through the file ${quoted(name)}`);
      if (there === undefined && !newFolders.includes(name)) newFolders.push(name);
      at = next;
    }
    return at;
  }
}

function refusal(wanted: string, what: string): BootsealError {
  return new BootsealError('usage', `${quoted(wanted)} ${what}`, {
    hint: 'choose another path for the file, or an initrd whose folders are as its maker leaves them',
  });
}
