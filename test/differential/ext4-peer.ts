/** @module What is in an ext4 file system, as e2fsprogs' debugfs reads it. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { quoteWord } from '../../src/core/disk/debugfs.ts';
import type { Needed } from '../needs.ts';

export const e2fsprogs: Needed = {
  name: 'e2fsprogs',
  files: ['/usr/sbin/mke2fs', '/usr/sbin/debugfs'],
  how: 'apt-get install e2fsprogs',
};

/** A file as it is in the file system; names have one letter a byte. */
export interface Found {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly size: number;
  readonly inode: number;
  /** Seconds and nanoseconds. */
  readonly mtime: readonly [number, number];
  readonly target?: string;
  readonly device?: string;
}

/** Runs debugfs commands on an image; throws when it says anything against one. */
export function debugfs(image: string, commands: readonly string[]): string {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBUGFS_PAGER: '/bin/cat' };
  const input = Buffer.from(`${commands.join('\n')}\n`, 'latin1');
  const ran = spawnSync('debugfs', ['-f', '-', image], { input, env, maxBuffer: 1 << 28 });
  const errors = ran.stderr.toString('latin1').replace(/^debugfs [^\n]*\n/, '');
  if (ran.status !== 0 || errors.trim() !== '') throw new Error(`debugfs: ${errors}`);
  return ran.stdout.toString('latin1');
}

/** Throws when the file system is not clean. */
export function checkExt4(image: string): void {
  const ran = spawnSync('/usr/sbin/e2fsck', ['-fn', image], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`e2fsck: ${ran.stdout}${ran.stderr}`);
}

/** Returns everything in the file system by path, the root as ''. */
export function readExt4(image: string): Map<string, Found> {
  const paths = listPaths(image);
  const printed = debugfs(
    image,
    paths.map((path) => `stat ${quoteWord(`/${path}`)}`),
  );
  const texts = printed.split(/^debugfs: stat .*$/m).slice(1);
  return new Map(paths.map((path, i) => [path, parseStat(texts[i] ?? '')]));
}

function listPaths(image: string): string[] {
  const all = [''];
  for (let level = ['']; level.length > 0; ) {
    const texts = debugfs(
      image,
      level.map((path) => `ls -p ${quoteWord(`/${path}`)}`),
    ).split(/^debugfs: ls .*$/m);
    const next: string[] = [];
    for (const [i, path] of level.entries()) {
      for (const line of (texts[i + 1] ?? '').split('\n')) {
        const found = /^\/([0-9]+)\/([0-7]+)\/-?[0-9]+\/-?[0-9]+\/([^/]+)\/[0-9]*\/$/.exec(line);
        const [, inode = '0', mode = '', name = ''] = found ?? [];
        if (inode === '0' || name === '.' || name === '..') continue;
        const here = path === '' ? name : `${path}/${name}`;
        all.push(here);
        if (mode.startsWith('04')) next.push(here);
      }
    }
    level = next;
  }
  return all;
}

function parseStat(text: string): Found {
  const field = (pattern: RegExp) => pattern.exec(text)?.[1] ?? '';
  const [, low = '0', extra = '0'] = /^ ?mtime: 0x([0-9a-f]+):([0-9a-f]+)/m.exec(text) ?? [];
  const target = /^Fast link dest: "([\s\S]*)"$/m.exec(text)?.[1];
  const device = /^Device major\/minor number: ([0-9]+:[0-9]+)/m.exec(text)?.[1];
  const bits = Number.parseInt(extra, 16);
  return {
    type: field(/Type: ([a-z A-Z]+?) +Mode:/),
    mode: Number.parseInt(field(/Mode: +([0-7]+)/), 8),
    uid: Number(field(/User: +(-?[0-9]+)/)) >>> 0,
    gid: Number(field(/Group: +(-?[0-9]+)/)) >>> 0,
    links: Number(field(/Links: ([0-9]+)/)),
    size: Number(field(/Size: ([0-9]+)/)),
    inode: Number(field(/Inode: ([0-9]+)/)),
    mtime: [(Number.parseInt(low, 16) | 0) + (bits & 3) * 2 ** 32, bits >>> 2],
    ...(target === undefined ? {} : { target }),
    ...(device === undefined ? {} : { device }),
  };
}

/** Returns the content of a file, or of an attribute of it. */
export function readContent(image: string, path: string, scratch: string, attribute?: string): Buffer {
  const command = attribute === undefined ? 'dump' : 'ea_get -f';
  const words =
    attribute === undefined
      ? [quoteWord(`/${path}`), quoteWord(scratch)]
      : [quoteWord(scratch), quoteWord(`/${path}`), attribute];
  debugfs(image, [[command, ...words].join(' ')]);
  return fs.readFileSync(scratch);
}
