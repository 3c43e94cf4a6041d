// What the demo needs: Debian's OVMF for SEV, what its guest is made of, and QEMU and others where the machine has none. All of it is data:
// kept in a cache folder, nothing is installed, and no root is needed.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { brotliDecompressSync } = require('node:zlib');
const { GUEST_TREE, fetchGuestPackages } = require('./guest-packages.js');
const { CACHE, fetchTree, inCache, inTree, treeOf } = require('./package-tree.js');
const { ROOT } = require('./project.js');
const { fail, isProgram } = require('./steps.js');

const FIRMWARE = {
  fixture: path.join(ROOT, 'test', 'fixtures', 'debian-ovmf', 'OVMF.amdsev_2026.08.fd.br'),
  file: path.join(CACHE, 'OVMF.amdsev.fd'),
  sha256: '3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f',
};

const PACKAGES = ['e2fsprogs', 'qemu-system-x86'];
const PROGRAMS = treeOf('programs', PACKAGES);
/** Programs by their place in the packages. */
const NEEDED = {
  'qemu-system-x86_64': 'usr/bin/qemu-system-x86_64',
  mke2fs: 'sbin/mke2fs',
  debugfs: 'sbin/debugfs',
  e2fsck: 'sbin/e2fsck',
};

const DEMO_DATA = {
  firmware: FIRMWARE.file,
  system: GUEST_TREE,
  /** A folder of scripts that start the programs; empty or not there on machines that have them. */
  programs: path.join(PROGRAMS, 'start'),
};

/** Brings everything in DEMO_DATA into the cache, unless it is there. */
function fetchDemoData() {
  unpackFirmware();
  fetchGuestPackages(true);
  if (Object.keys(NEEDED).some((name) => !isInstalled(name))) fetchPrograms();
}

/** Brings Debian's OVMF for SEV into the cache. */
function unpackFirmware() {
  const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
  if (fs.existsSync(FIRMWARE.file) && sha256(fs.readFileSync(FIRMWARE.file)) === FIRMWARE.sha256) return;
  const bytes = brotliDecompressSync(fs.readFileSync(FIRMWARE.fixture));
  if (sha256(bytes) !== FIRMWARE.sha256) fail(`${FIRMWARE.fixture} is not the firmware it should be`);
  const problem = inCache(() => {
    const beside = `${FIRMWARE.file}.${process.pid}.part`;
    fs.writeFileSync(beside, bytes);
    fs.renameSync(beside, FIRMWARE.file);
  });
  if (problem !== undefined) fail(problem.message, problem.hint);
}

/** Where bootseal looks for programs. */
function isInstalled(name) {
  return isProgram(name, `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`);
}

function fetchPrograms() {
  const failed = `not installed, and not to be downloaded: ${PACKAGES.join(' ')}`;
  const what = 'the demo: QEMU and e2fsprogs (45 MB, once)';
  const problem = fetchTree(PROGRAMS, PACKAGES, what, failed) ?? inCache(writeStarts);
  if (problem !== undefined) fail(problem.message, problem.hint);
}

function writeStarts() {
  fs.mkdirSync(DEMO_DATA.programs, { recursive: true });
  for (const [name, file] of Object.entries(NEEDED)) writeStart(name, file);
}

/** Writes a script that starts a program of the tree. QEMU looks for its modules and ROMs where Debian would have installed them. */
function writeStart(name, file) {
  const share = (folder) => ['-L', path.join(PROGRAMS, 'usr/share', folder)];
  const own = name.startsWith('qemu') ? [...share('qemu'), ...share('seabios')] : [];
  const quoted = (words) => words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const modules = `QEMU_MODULE_DIR=${quoted([path.join(PROGRAMS, 'usr/lib/x86_64-linux-gnu/qemu')])}`;
  const script = `#!/bin/sh\n${modules} exec ${quoted([...inTree(PROGRAMS, file, name), ...own])} "$@"\n`;
  const beside = path.join(DEMO_DATA.programs, `.${name}.${process.pid}`);
  fs.writeFileSync(beside, script, { mode: 0o755 });
  fs.renameSync(beside, path.join(DEMO_DATA.programs, name));
}

module.exports = { DEMO_DATA, fetchDemoData, fetchPrograms };
