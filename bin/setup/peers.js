// The programs of other projects that tests run bootseal's output through: Debian packages.
'use strict';
const fs = require('node:fs');
const { attempt, fail, excerpt, say } = require('./steps.js');

/** Each package with a file that shows it is there; reading a file is quicker than asking dpkg. */
const PACKAGES = {
  'libvirt-clients-qemu': '/usr/bin/virt-qemu-sev-validate',
  'libvirt-clients': '/usr/bin/virt-xml-validate',
  libvirt0: '/usr/share/libvirt/schemas/domain.rng',
  'libxml2-utils': '/usr/bin/xmllint',
  'python3-lxml': '/usr/lib/python3/dist-packages/lxml/__init__.py',
  'python3-libvirt': '/usr/lib/python3/dist-packages/libvirt.py',
  'python3-cryptography': '/usr/lib/python3/dist-packages/cryptography/__init__.py',
  gcc: '/usr/bin/gcc',
  'groff-base': '/usr/bin/groff',
  'cryptsetup-bin': '/usr/sbin/cryptsetup',
  'grub-common': '/usr/bin/grub-fstest',
  'qemu-system-x86': '/usr/bin/qemu-system-x86_64',
  seabios: '/usr/share/seabios/bios-256k.bin',
  shellcheck: '/usr/bin/shellcheck',
  e2fsprogs: '/usr/sbin/mke2fs',
  'erofs-utils': '/usr/bin/mkfs.erofs',
  fakeroot: '/usr/bin/fakeroot',
  attr: '/usr/bin/setfattr',
  cpio: '/usr/bin/cpio',
  bzip2: '/usr/bin/bzip2',
  keyutils: '/usr/bin/keyctl',
  lz4: '/usr/bin/lz4',
  lzop: '/usr/bin/lzop',
  'xz-utils': '/usr/bin/xz',
  zstd: '/usr/bin/zstd',
  fdisk: '/usr/sbin/sfdisk',
  gdisk: '/usr/sbin/sgdisk',
  dosfstools: '/usr/sbin/fsck.vfat',
  mtools: '/usr/bin/mcopy',
  'qemu-utils': '/usr/bin/qemu-img',
  make: '/usr/bin/make',
  zsh: '/usr/bin/zsh',
  fish: '/usr/bin/fish',
  skopeo: '/usr/bin/skopeo',
  osslsigncode: '/usr/bin/osslsigncode',
};

/** Installs them where that is possible; elsewhere the tests that need them are skipped, or fail in CI. */
function installPeers() {
  const missing = Object.keys(PACKAGES).filter((name) => !fs.existsSync(PACKAGES[name]));
  if (missing.length === 0) return;
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (attempt('apt-get', ['--version']).missing) {
    without(missing, 'this system has no apt-get');
  } else if (process.getuid() !== 0) {
    without(missing, `run: sudo ${command}`);
  } else {
    install(missing, command);
  }
}

function install(packages, command) {
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  const wait = ['-o', 'DPkg::Lock::Timeout=120'];
  const args = [...wait, 'install', '-y', '--no-install-recommends', ...packages];
  say(`Debian packages for the tests (${packages.join(' ')}) …`);
  let ran = attempt('apt-get', args, options);
  if (!ran.ok) {
    // A fresh machine has no package lists, an old one has lists of versions that are gone.
    const update = attempt('apt-get', [...wait, 'update'], options);
    ran = update.ok ? attempt('apt-get', args, options) : update;
  }
  if (!ran.ok) without(packages, `${command} failed; ${excerpt(ran.printed)}`);
}

function without(packages, why) {
  const message = `not installed: ${packages.join(' ')}`;
  if (process.env['CI'] === 'true') fail(message, why);
  say(`${message}; the tests that need them are skipped`);
  say(`hint: ${why}`);
}

module.exports = { installPeers };
