// The npm packages and the build, each made anew only when what it is made from has changed.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { step } = require('./steps.js');

const ROOT = path.join(__dirname, '..', '..');
const inRoot = (...names) => path.join(ROOT, ...names);

/** Installs exactly what package-lock.json names, unless it is there already. No package's own script is run. */
function installPackages() {
  if (fs.lstatSync(inRoot('node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) return; // someone else's to keep
  if (installedMatchesLock()) return;
  step('npm packages', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: ROOT });
}

// npm leaves a lock file of what it really installed; it is written last, so an interrupted install has none.
function installedMatchesLock() {
  const installed = packagesIn(inRoot('node_modules', '.package-lock.json'));
  const wanted = packagesIn(inRoot('package-lock.json'));
  if (installed === undefined || wanted === undefined) return false;
  for (const [name, entry] of Object.entries(wanted)) {
    if (name === '') continue;
    const found = installed[name];
    if (found === undefined && (entry.optional || entry.devOptional || entry.peer)) continue; // not for this platform
    if (found === undefined || found.version !== entry.version || found.integrity !== entry.integrity) return false;
    if (!fs.existsSync(inRoot(name))) return false;
  }
  return Object.keys(installed).every((name) => name in wanted);
}

function packagesIn(lockFile) {
  try {
    return JSON.parse(fs.readFileSync(lockFile, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** Compiles src into dist, unless dist was made from these very sources. */
function build() {
  const stamp = inRoot('dist', '.made-from');
  const names = ['bootseal', 'quick', 'image-worker', 'verity-worker', 'identify-worker'];
  const bundles = names.map((name) => inRoot('dist', `${name}.cjs`));
  const sources = hashOf([...filesBelow(inRoot('src')), ...BUILD_FILES.map((name) => inRoot(name))]);
  // The bundles' own hash stands beside the sources': a build by hand in between must not pass for this one.
  const made = () => `${sources} ${hashOf(bundles)}\n`;
  if (readText(stamp) === made()) return;
  fs.rmSync(inRoot('dist'), { recursive: true, force: true });
  step('build', 'npm', ['run', 'build'], { cwd: ROOT });
  fs.writeFileSync(stamp, made());
}

const BUILD_FILES = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'bin/build.js',
  'bin/bundle.js',
];

function filesBelow(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) {
    const bytes = fs.existsSync(file) ? fs.readFileSync(file) : Buffer.of();
    hash.update(`${path.relative(ROOT, file)} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest('hex');
}

function readText(file) {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
}

module.exports = { ROOT, build, installPackages };
