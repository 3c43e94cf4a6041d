// What the demo needs: Debian's OVMF for SEV, what its guest is made of, and QEMU and others where the machine has none. All of it is data:
// kept in a cache folder, nothing is installed, and no root is needed.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { brotliDecompressSync } = require('node:zlib');
const { GUEST_TREE, fetchGuestPackages } = require('./guest-packages.js');
const { CACHE, fetchTree, inCache, inTree, makePart, treeOf } = require('./package-tree.js');
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
  const isRight = (bytes) => createHash('sha256').update(bytes).digest('hex') === FIRMWARE.sha256;
  const cached = readOr(FIRMWARE.file, `remove it: the set-up makes it anew (rm -r ${FIRMWARE.file})`);
  if (cached !== undefined && isRight(cached)) return;
  const packed = readOr(FIRMWARE.fixture, WHOLE);
  const bytes = packed === undefined ? undefined : unpacked(packed);
  if (bytes === undefined || !isRight(bytes)) fail(`${FIRMWARE.fixture} is not the firmware it should be`, WHOLE);
  const problem = inCache(() => {
    const { part, remove } = makePart();
    const beside = path.join(part, 'firmware');
    fs.writeFileSync(beside, bytes);
    fs.renameSync(beside, FIRMWARE.file);
    remove();
  });
  if (problem !== undefined) fail(problem.message, problem.hint);
}

const WHOLE = 'the clone is not whole: git restore test/fixtures';

/** Returns a file's bytes, undefined where there is none. Ends the set-up when it cannot be read. */
function readOr(file, hint) {
  try {
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (stat.isFile()) return fs.readFileSync(file);
    return fail(`cannot read ${file}: it is no file`, hint);
  } catch (error) {
    if (error.code === 'ENOTDIR') return undefined; // that it cannot be written either is told there
    const [reason] = error.message.split(', ');
    return fail(`cannot read ${file}: ${reason}`, hint);
  }
}

function unpacked(packed) {
  try {
    return brotliDecompressSync(packed);
  } catch {
    return undefined;
  }
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
