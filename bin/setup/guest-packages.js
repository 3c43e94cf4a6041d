// What the guests of the tests are made of: Debian's kernel, cryptsetup, busybox and makers of initrds. Data, like the demo's:
// unpacked into a folder of the cache, nothing is installed or configured, and no root is needed.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { CACHE, ownAptState } = require('./demo-data.js');
const { attempt, excerpt, fail, moveToPlace, say } = require('./steps.js');

/** What is asked for; apt adds what these depend on. */
const PACKAGES = [
  'base-files',
  'base-passwd',
  'bash',
  'busybox-static',
  'coreutils',
  'cryptsetup-bin',
  'cryptsetup-initramfs',
  'dash',
  'debianutils',
  'diffutils',
  'dpkg',
  'dracut-core',
  'e2fsprogs',
  'findutils',
  'grep',
  'gzip',
  'hostname',
  'initramfs-tools',
  'libc-bin',
  'linux-image-cloud-amd64',
  'mawk',
  'mount',
  'perl-base',
  'sed',
  'systemd',
  'tar',
  'udev',
  'util-linux',
];

/** To be counted up when they are unpacked in another way: the folder then has another name. */
const LAYOUT = 1;
const VERSION = createHash('sha256')
  .update([LAYOUT, ...PACKAGES].join(' '))
  .digest('hex')
  .slice(0, 12);
/** A tree of a Debian system, as its packages unpack. */
const GUEST_TREE = path.join(CACHE, `guest-${VERSION}`);

/** Brings the tree into the cache, unless it is there. */
function fetchGuestPackages() {
  if (fs.existsSync(GUEST_TREE)) return;
  fs.mkdirSync(CACHE, { recursive: true });
  const part = fs.mkdtempSync(path.join(CACHE, 'part-'));
  const remove = () => fs.rmSync(part, { recursive: true, force: true });
  process.on('exit', remove);
  const start = Date.now();
  say('downloading Debian packages for the guests of the tests (65 MB, once) …');
  const debs = download(part);
  if (debs === undefined) return;
  const tree = path.join(part, 'tree');
  unpack(debs, tree);
  moveToPlace(tree, GUEST_TREE);
  remove();
  say(`unpacked in ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

/** Returns the downloaded packages; undefined when that was not possible. */
function download(folder) {
  const cache = path.join(folder, 'cache');
  const status = path.join(folder, 'status');
  fs.mkdirSync(path.join(cache, 'archives', 'partial'), { recursive: true });
  fs.writeFileSync(status, ''); // nothing is installed there: all that is needed is downloaded
  const install = ['--download-only', '--no-install-recommends', '-y', 'install', ...PACKAGES];
  const common = ['-o', `Dir::State::status=${status}`, '-o', `Dir::Cache=${cache}`, '-o', 'Debug::NoLocking=1'];
  let ran = attempt('apt-get', [...common, ...install]);
  if (ran.missing) return without('this system has no apt-get');
  if (!ran.ok) {
    const own = [...ownAptState(path.join(folder, 'apt')), ...common];
    const update = attempt('apt-get', [...own, 'update']);
    ran = update.ok ? attempt('apt-get', [...own, ...install]) : update;
  }
  if (!ran.ok) return without(excerpt(ran.printed));
  const archives = path.join(cache, 'archives');
  return fs
    .readdirSync(archives)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => path.join(archives, name));
}

function without(why) {
  const message = 'the guests of the tests could not be downloaded with apt-get';
  if (process.env['CI'] === 'true') fail(message, why);
  say(`${message}; the tests that need them are skipped`);
  say(`hint: ${why}`);
  return undefined;
}

function unpack(debs, tree) {
  // As on every Debian since 12: packages that still have /bin unpack into /usr/bin.
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    fs.mkdirSync(path.join(tree, 'usr', name), { recursive: true });
    fs.symlinkSync(`usr/${name}`, path.join(tree, name));
  }
  for (const deb of debs) {
    // dpkg-deb -x would put a folder in the place of such a link.
    const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink';
    const ran = attempt('sh', ['-c', script, 'sh', deb, tree]);
    if (!ran.ok) fail(`${path.basename(deb)} could not be unpacked`, excerpt(ran.printed));
  }
  for (const kernel of fs.readdirSync(path.join(tree, 'lib', 'modules')))
    inTree(tree, 'kmod', 'depmod', ['-b', tree, kernel]);
}

/** Runs a program of the tree with the tree's own libraries, under the name by which it tells what it shall be. */
function inTree(tree, program, name, args) {
  const libraries = ['lib', 'usr/lib'].map((lib) => path.join(tree, lib, 'x86_64-linux-gnu')).join(':');
  const loader = path.join(tree, 'lib64', 'ld-linux-x86-64.so.2');
  const ran = attempt(loader, [
    '--library-path',
    libraries,
    '--argv0',
    name,
    path.join(tree, 'usr', 'bin', program),
    ...args,
  ]);
  if (!ran.ok) fail(`${name} failed on the guests' tree`, excerpt(ran.printed));
}

module.exports = { GUEST_TREE, fetchGuestPackages };
