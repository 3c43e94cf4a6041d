// What guests are made of, those of the tests and of the demo: Debian's kernel, cryptsetup, busybox and makers of initrds.
'use strict';
const { fetchTree, treeOf } = require('./package-tree.js');
const { fail, say } = require('./steps.js');

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

/** A tree of a Debian system, as its packages unpack. */
const GUEST_TREE = treeOf('guest', PACKAGES);

/** Brings the tree into the cache, unless it is there; without it the tests that need it are skipped, and nothing else works. */
function fetchGuestPackages(isNeeded = process.env['CI'] === 'true') {
  const failed = 'what guests are made of could not be downloaded with apt-get';
  const problem = fetchTree(GUEST_TREE, PACKAGES, 'guests (65 MB, once)', failed);
  if (problem === undefined) return;
  const { message, hint } = problem;
  if (isNeeded) fail(message, hint);
  say(`${message}; the tests that need it are skipped`);
  say(`hint: ${hint}`);
}

module.exports = { GUEST_TREE, fetchGuestPackages };
