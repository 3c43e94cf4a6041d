import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DISK, KBC, secretArea, writeTree } from '../guest-tree.ts';
import { bootseal, scratch } from './script.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  writeTree(folder, {
    'table.bin': secretArea([
      [DISK, 'correct horse\0'],
      [KBC, '{"default/key/1":"AAAA"}'],
    ]),
    'broken.bin': secretArea([
      [DISK, 'correct horse'],
      [DISK, 'battery staple'],
    ]),
    'none/proc/mounts': '',
    [`tree/sys/kernel/security/secrets/coco/${DISK}`]: 'correct horse',
  });
});
afterEach(() => remove());

const guest = async (...words: string[]) => {
  const ran = await bootseal(['guest', ...words], folder);
  // No command ever prints a secret but into the pipe that was asked for.
  if (!words.includes('-')) expect(`${ran.stdout}${ran.stderr}`).not.toMatch(/horse|battery/);
  return ran;
};

describe('guest list', () => {
  it('names the secrets and hides them', async () => {
    expect(await guest('list', '--table', 'table.bin')).toEqual({
      status: 0,
      stdout: [
        `from ${path.join(folder, 'table.bin')}`,
        `${DISK}  disk-passphrase  14 bytes  NUL-terminated  ********`,
        `${KBC}  offline-sev-kbc  24 bytes  raw  ********`,
        '',
      ].join('\n'),
      stderr: '',
    });
  });

  it('has a form for programs', async () => {
    const { stdout } = await guest('list', '--table', 'table.bin', '--json');
    expect(JSON.parse(stdout)).toEqual({
      source: { kind: 'file', place: path.join(folder, 'table.bin') },
      passed: [],
      entries: [
        { guid: DISK, name: 'disk-passphrase', bytes: 14, nulTerminated: true },
        { guid: KBC, name: 'offline-sev-kbc', bytes: 24, nulTerminated: false },
      ],
      refusal: null,
      deleted: 0,
      dropped: 0,
    });
  });

  it('refuses what Linux would, by name, and salvages when it is told to', async () => {
    const refused = await guest('list', '--table', 'broken.bin');
    expect(refused.status).toBe(3);
    expect(refused.stderr).toContain(`entry 2 at byte 53: a second entry for ${DISK}; Linux's driver shows nothing`);
    expect(refused.stderr).toContain('hint: 2 entries can be read with --salvage');
    const salvaged = await guest('list', '--table', 'broken.bin', '--salvage');
    expect(salvaged.status).toBe(0);
    expect(salvaged.stdout.match(new RegExp(DISK, 'g'))?.length).toBe(2);
    expect(salvaged.stderr).toContain("warning: Linux's driver would show none of this (EEXIST)");
    const { stdout } = await guest('list', '--table', 'broken.bin', '--salvage', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ refusal: { code: 'duplicate-guid', errno: 'EEXIST' }, dropped: null });
  });

  it.each<[string, (area: Uint8Array) => void, string]>([
    // As GRUB leaves an entry that it has used: its length is zero too.
    [
      'before a broken entry',
      (area) => area.fill(0, 20, 53),
      'nothing can be read before the broken entry; secrets may lie behind it',
    ],
    ['of a length of zero', (area) => area.fill(0, 16, 20), 'nothing can be read of this table'],
    ['of an empty area', (area) => area.fill(0), 'there is no table: none was injected, or all of it is erased'],
  ])('says that nothing can be read %s', async (_, change, last) => {
    const area = secretArea([
      [DISK, 'correct horse'],
      [KBC, 'battery staple'],
    ]);
    change(area);
    fs.writeFileSync(path.join(folder, 'changed.bin'), area);
    const ran = await guest('list', '--table', 'changed.bin', '--salvage');
    expect(ran.status).toBe(0);
    expect(ran.stdout).toBe(`from ${path.join(folder, 'changed.bin')}\n${last}\n`);
    expect(ran.stderr).toContain("warning: Linux's driver would show none of this");
  });

  it('warns of entries that Linux drops', async () => {
    const many = Array.from(
      { length: 66 },
      (_, i) => [`${String(i).padStart(8, '0')}-0000-0000-0000-000000000001`, 'x'] as const,
    );
    fs.writeFileSync(path.join(folder, 'many.bin'), secretArea(many));
    const ran = await guest('list', '--table', 'many.bin', '--json');
    expect(ran.stderr).toContain('warning: 2 more secrets are in the table');
    expect(JSON.parse(ran.stdout)).toMatchObject({ dropped: 2 });
    expect(JSON.parse(ran.stdout).entries.length).toBe(64);
  });

  it('looks at a tree, and says everything when nothing is there', async () => {
    expect((await guest('list', '--root', 'tree')).stdout).toContain('from /sys/kernel/security/secrets/coco\n');
    const none = await guest('list', '--root', 'none');
    expect(none.status).toBe(5);
    expect(none.stderr).toContain('no launch secrets here: securityfs: securityfs is not mounted');
    expect(none.stderr).toContain('; memory: /proc is not mounted');
    const one = await guest('list', '--root', 'none', '--source', 'memory', '--json');
    expect(one.stderr).not.toContain('securityfs');
    expect((await guest('list', '--table', 'table.bin', '--source', 'memory')).status).toBe(2);
  });
});

describe('guest read', () => {
  it('writes a file for its owner only', async () => {
    expect((await guest('read', 'disk-passphrase', '--table', 'table.bin', '--out', 'key')).stdout).toBe(
      `disk-passphrase (${DISK})  key, 14 bytes\n`,
    );
    expect(fs.readFileSync(path.join(folder, 'key'), 'latin1')).toBe('correct horse\0');
    expect(fs.statSync(path.join(folder, 'key')).mode & 0o777).toBe(0o600);
    expect((await guest('read', DISK, '--table', 'table.bin', '--out', 'key')).status).toBe(5);
    const forced = await guest(
      'read',
      DISK,
      '--table',
      'table.bin',
      '--strip-nul',
      '--force',
      '--json',
      '--out',
      'key',
    );
    expect(JSON.parse(forced.stdout)).toEqual({ guid: DISK, out: 'key', bytes: 13, source: 'file' });
    expect(fs.readFileSync(path.join(folder, 'key'), 'latin1')).toBe('correct horse');
  });

  it('does not replace the table that it reads', async () => {
    const table = fs.readFileSync(path.join(folder, 'table.bin'));
    fs.symlinkSync('table.bin', path.join(folder, 'link'));
    for (const out of ['table.bin', './link']) {
      const refused = await guest('read', DISK, '--table', 'table.bin', '--force', '--out', out);
      expect(refused.status).toBe(2);
      expect(refused.stderr).toContain(`${out} would be written, and is one of the files that are read`);
    }
    expect(fs.readFileSync(path.join(folder, 'table.bin'))).toEqual(table);
  });

  it('writes to a pipe and never to a terminal', async () => {
    const piped = await guest('read', DISK, '--root', 'tree', '--out', '-');
    expect(piped).toEqual({ status: 0, stdout: 'correct horse', stderr: '' });
    let shown = '';
    const terminal = {
      isTTY: true,
      write: (text: string | Uint8Array) => {
        shown += text.toString();
      },
    };
    const ran = await bootseal(['guest', 'read', DISK, '--root', 'tree', '--out', '-'], folder, { stdout: terminal });
    expect(ran.status).toBe(2);
    expect(shown).toBe('');
    expect((await guest('read', DISK, '--root', 'tree', '--out', '-', '--json')).status).toBe(2);
  });

  it('refuses what is not there, and a table of which Linux shows nothing', async () => {
    const missing = await guest('read', 'kata-bundle', '--table', 'table.bin', '--out', 'x');
    expect(missing.status).toBe(5);
    expect(missing.stderr).toContain('there is no secret kata-bundle (0a46e24d-');
    expect((await guest('read', DISK, '--table', 'broken.bin', '--out', 'x')).status).toBe(3);
    const typed = await guest('read', 'correct', '--table', 'table.bin', '--out', 'x');
    expect(typed.status).toBe(2);
    expect(fs.existsSync(path.join(folder, 'x'))).toBe(false);
  });
});

describe('guest unlock', () => {
  it.each([['--test'], ['data', '--request', 'efi:disk-passphrase']])(
    'erases no secret of a disk that it does not open with it: %s',
    async (...words) => {
      const ran = await guest('unlock', 'table.bin', ...words, '--erase', '--root', 'tree');
      expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining('--erase exclude each other') });
    },
  );
});

describe('guest erase', () => {
  it('erases what is named, and finds it gone', async () => {
    const ran = await guest('erase', 'disk-passphrase', '--root', 'tree');
    expect(ran.stdout).toBe(`erased from /sys/kernel/security/secrets/coco: disk-passphrase (${DISK})\n`);
    expect((await guest('list', '--root', 'tree')).stdout).toContain(
      'no secrets: none were injected, or all are erased',
    );
    expect((await guest('erase', 'disk-passphrase', '--root', 'tree')).status).toBe(5);
  });

  it('erases everything of a table, even a broken one', async () => {
    const ran = await guest('erase', '--all', '--table', 'broken.bin', '--json');
    expect(JSON.parse(ran.stdout)).toMatchObject({ source: { kind: 'file' }, erased: 2 });
    expect(fs.readFileSync(path.join(folder, 'broken.bin')).every((byte) => byte === 0)).toBe(true);
    const empty = await guest('list', '--table', 'broken.bin');
    expect(empty.status).toBe(3);
    expect(empty.stderr).toContain('the area is empty');
  });

  it('fails where more may be left than Linux shows', async () => {
    const shown = Array.from({ length: 64 }, (_, i) => `${DISK.slice(0, -2)}${10 + i}`);
    writeTree(
      folder,
      Object.fromEntries(shown.map((guid) => [`full/sys/kernel/security/secrets/coco/${guid}`, 'correct horse'])),
    );
    const ran = await guest('erase', '--all', '--root', 'full');
    expect(ran).toMatchObject({ status: 5, stdout: '' });
    expect(ran.stderr).toContain('more may be left in memory');
    expect((await guest('erase', '--all', '--root', 'full')).status).toBe(0);
  });

  it('wants to be told what', async () => {
    expect((await guest('erase', '--table', 'table.bin')).status).toBe(2);
    expect((await guest('erase', DISK, '--all', '--table', 'table.bin')).status).toBe(2);
  });
});
