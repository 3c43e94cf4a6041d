// Debian packages as data: downloaded with all that they depend on, and unpacked into a folder of the cache. Nothing is installed or
// configured, and no root is needed.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { attempt, excerpt, moveToPlace, say } = require('./steps.js');

const CACHE = path.join(process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache'), 'bootseal');

/** To be counted up when they are unpacked in another way: the folders then have other names. */
const LAYOUT = 1;

/** Returns the folder for these packages. */
function treeOf(name, packages) {
  const version = createHash('sha256')
    .update([LAYOUT, ...packages].join(' '))
    .digest('hex')
    .slice(0, 12);
  return path.join(CACHE, `${name}-${version}`);
}

/**
 * Runs `work`, which writes into the cache and returns what went wrong: `{ message, hint }`, or undefined. Where the cache cannot be
 * written, that is what went wrong.
 */
function inCache(work) {
  try {
    makeFolder(CACHE);
    removeDeadParts();
    return work();
  } catch (error) {
    if (error.syscall === undefined) throw error;
    const [reason] = error.message.split(', ');
    return {
      message: `cannot write ${CACHE}: ${reason}`,
      hint: 'set XDG_CACHE_HOME to a folder of yours that has room',
    };
  }
}

/** As `mkdir -p`. Node's own (of 20 at least) never returns where a folder is there and takes no other, as /proc. */
function makeFolder(folder) {
  if (fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = path.dirname(folder);
  if (above !== folder) makeFolder(above);
  try {
    fs.mkdirSync(folder);
  } catch (error) {
    // Another set-up may have made it in the meantime.
    if (error.code !== 'EEXIST' || !fs.statSync(folder).isDirectory()) throw error;
  }
}

/** What is not finished says by its name who makes it: a cache may be shared by machines. */
const PART = `part-${os.hostname()}-`;

/** Makes a folder of the cache for what is not finished. It goes with this process. */
function makePart() {
  const part = fs.mkdtempSync(path.join(CACHE, `${PART}${process.pid}-`));
  const remove = () => fs.rmSync(part, { recursive: true, force: true });
  process.on('exit', remove);
  return { part, remove };
}

/** Removes what set-ups of this machine have left that were killed. */
function removeDeadParts() {
  for (const name of fs.readdirSync(CACHE)) {
    if (!name.startsWith(PART)) continue;
    const [pid] = name.slice(PART.length).split('-');
    if (!isAlive(Number(pid))) fs.rmSync(path.join(CACHE, name), { recursive: true, force: true });
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

/** Brings packages into `tree`, unless it is there. `what` says for whom, and how much; returns what went wrong, with `message` about it. */
function fetchTree(tree, packages, what, message) {
  if (fs.existsSync(tree)) return undefined;
  return inCache(() => {
    const hint = fetchNewTree(tree, packages, what);
    return hint === undefined ? undefined : { message, hint };
  });
}

function fetchNewTree(tree, packages, what) {
  const { part, remove } = makePart();
  const start = Date.now();
  say(`downloading Debian packages for ${what} …`);
  const { debs, problem } = download(part, packages);
  const failed = problem ?? unpack(debs, path.join(part, 'tree'));
  if (failed === undefined) {
    moveToPlace(path.join(part, 'tree'), tree);
    say(`unpacked in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  }
  remove();
  return failed;
}

function download(folder, packages) {
  const cache = path.join(folder, 'cache');
  const status = path.join(folder, 'status');
  fs.mkdirSync(path.join(cache, 'archives', 'partial'), { recursive: true });
  fs.writeFileSync(status, ''); // nothing is installed there: all that is needed is downloaded
  const install = ['--download-only', '--no-install-recommends', '-y', 'install', ...packages];
  const common = ['-o', `Dir::State::status=${status}`, '-o', `Dir::Cache=${cache}`, '-o', 'Debug::NoLocking=1'];
  let ran = attempt('apt-get', [...common, ...install]);
  if (ran.missing) return { problem: 'this system has no apt-get' };
  if (!ran.ok) {
    // No package lists yet, or old ones: fetch lists of our own, which neither needs root nor changes the system.
    const own = [...ownAptState(path.join(folder, 'apt')), ...common];
    const update = attempt('apt-get', [...own, 'update']);
    ran = update.ok ? attempt('apt-get', [...own, ...install]) : update;
  }
  if (!ran.ok) return { problem: excerpt(ran.printed) };
  const archives = path.join(cache, 'archives');
  const debs = fs.readdirSync(archives).filter((name) => name.endsWith('.deb'));
  return { debs: debs.map((name) => path.join(archives, name)) };
}

/** Returns options for apt-get that make it keep package lists in `folder`. */
function ownAptState(folder) {
  const lists = path.join(folder, 'lists');
  const cache = path.join(folder, 'cache');
  fs.mkdirSync(path.join(lists, 'partial'), { recursive: true });
  fs.mkdirSync(path.join(cache, 'archives', 'partial'), { recursive: true });
  return ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`];
}

/** Returns what went wrong. */
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
    if (!ran.ok) return `${path.basename(deb)}: ${excerpt(ran.printed)}`;
  }
  const modules = path.join(tree, 'lib', 'modules');
  for (const kernel of fs.existsSync(modules) ? fs.readdirSync(modules) : []) {
    const [loader, ...words] = inTree(tree, 'usr/bin/kmod', 'depmod');
    const ran = attempt(loader, [...words, '-b', tree, kernel]);
    if (!ran.ok) return `depmod: ${excerpt(ran.printed)}`;
  }
  return undefined;
}

/** Returns the words that run a program of the tree with the tree's own libraries, under the name by which it tells what it shall be. */
function inTree(tree, program, name) {
  const libraries = ['lib', 'usr/lib'].map((lib) => path.join(tree, lib, 'x86_64-linux-gnu')).join(':');
  const loader = path.join(tree, 'lib64', 'ld-linux-x86-64.so.2');
  return [loader, '--library-path', libraries, '--argv0', name, path.join(tree, program)];
}

module.exports = { CACHE, fetchTree, inCache, inTree, makePart, treeOf };
