// What the demo measures: Debian's own kernel and initrd (of its installer) and Debian's OVMF for SEV. They are data: kept
// in a cache folder, nothing is installed, and no root is needed.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { brotliDecompressSync } = require('node:zlib');
const { ROOT } = require('./project.js');
const { attempt, fail, excerpt, moveToPlace, say, step } = require('./steps.js');

const CACHE = path.join(process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache'), 'bootseal');

const FIRMWARE = {
  fixture: path.join(ROOT, 'test', 'fixtures', 'debian-ovmf', 'OVMF.amdsev_2026.08.fd.br'),
  file: path.join(CACHE, 'OVMF.amdsev.fd'),
  sha256: '3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f',
};

const INSTALLER = path.join(CACHE, 'debian-installer');
/** Where the demo finds its three inputs, and the name and version of the package that two of them came from. */
const DEMO_DATA = {
  firmware: FIRMWARE.file,
  kernel: path.join(INSTALLER, 'linux'),
  initrd: path.join(INSTALLER, 'initrd.gz'),
  origin: path.join(INSTALLER, 'origin.txt'),
};

/** Brings everything in DEMO_DATA into the cache, unless it is there. */
function fetchDemoData() {
  fs.mkdirSync(CACHE, { recursive: true });
  unpackFirmware();
  if (isComplete()) return;
  const part = fs.mkdtempSync(path.join(CACHE, 'part-'));
  process.on('exit', () => fs.rmSync(part, { recursive: true, force: true }));
  const deb = download(part);
  unpackInstaller(deb, part);
}

const isComplete = () => Object.values(DEMO_DATA).every((file) => fs.existsSync(file));

/** Brings Debian's OVMF for SEV into the cache. */
function unpackFirmware() {
  const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
  if (fs.existsSync(FIRMWARE.file) && sha256(fs.readFileSync(FIRMWARE.file)) === FIRMWARE.sha256) return;
  const bytes = brotliDecompressSync(fs.readFileSync(FIRMWARE.fixture));
  if (sha256(bytes) !== FIRMWARE.sha256) fail(`${FIRMWARE.fixture} is not the firmware it should be`);
  const beside = `${FIRMWARE.file}.${process.pid}.part`;
  fs.writeFileSync(beside, bytes);
  fs.renameSync(beside, FIRMWARE.file);
}

/** Returns the path of Debian's netboot installer package, downloaded into `folder`. */
function download(folder) {
  const name = `debian-installer-${debianRelease()}-netboot-amd64`;
  const start = Date.now();
  say(`downloading Debian's kernel and initrd (${name}, 130 MB, once) …`);
  let ran = attempt('apt-get', ['download', name], { cwd: folder });
  if (ran.missing) fail('this system has no apt-get', 'the demo needs Debian 12 or a later Debian');
  if (!ran.ok) {
    // No package lists yet, or old ones: fetch lists of our own, which neither needs root nor changes the system.
    const own = ownAptState(path.join(folder, 'apt'));
    const update = attempt('apt-get', [...own, 'update'], { cwd: folder });
    ran = update.ok ? attempt('apt-get', [...own, 'download', name], { cwd: folder }) : update;
  }
  const deb = fs.readdirSync(folder).find((file) => file.endsWith('.deb'));
  if (!ran.ok || deb === undefined) fail(`apt-get could not download ${name}`, excerpt(ran.printed));
  say(`downloaded in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return path.join(folder, deb);
}

function debianRelease() {
  const release = fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release', 'utf8') : '';
  return /^ID="?debian"?$/m.test(release) ? (/^VERSION_ID="?(\d+)/m.exec(release)?.[1] ?? '12') : '12';
}

/** Returns options for apt-get that make it keep package lists in `folder`, which needs no root and changes no system. */
function ownAptState(folder) {
  const lists = path.join(folder, 'lists');
  const cache = path.join(folder, 'cache');
  fs.mkdirSync(path.join(lists, 'partial'), { recursive: true });
  fs.mkdirSync(path.join(cache, 'archives', 'partial'), { recursive: true });
  return ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`];
}

function unpackInstaller(deb, folder) {
  const out = path.join(folder, 'out');
  fs.mkdirSync(out);
  // Only the two files out of 140 MB; every directory above them is stripped.
  const script = `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --transform 's:.*/::' --wildcards '*/text/*/linux' '*/text/*/initrd.gz'`;
  step('unpacking the kernel and initrd', 'sh', ['-c', script, 'sh', deb, out]);
  fs.writeFileSync(path.join(out, 'origin.txt'), `${path.basename(deb, '.deb')}\n`);
  if (!isComplete()) fs.rmSync(INSTALLER, { recursive: true, force: true });
  moveToPlace(out, INSTALLER);
}

module.exports = { CACHE, DEMO_DATA, fetchDemoData, ownAptState, unpackFirmware };
