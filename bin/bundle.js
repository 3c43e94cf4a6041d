// Loads the bundle of a command with the code that V8 compiled when the bundle was built. V8 itself refuses code of another version of
// V8, but neither code of another bundle of the same length nor damaged code, which ends the process: a hash before the code
// binds it to the bundle and to itself. Whatever is not right is compiled anew.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { wrap } = require('node:module');

/** Commands that scripts run again and again have a bundle of their own: each start pays for all that its bundle holds. */
const QUICK = { name: 'quick', commands: ['firmware', 'measure'], platforms: ['sev', 'sev-es', 'snp'] };
const HASH_SIZE = 32;

/** Returns the paths of a bundle and of its compiled code. */
function filesOf(name) {
  const at = path.join(__dirname, '..', 'dist', name);
  return { bundle: `${at}.cjs`, compiled: `${at}.compiled` };
}

/** Returns the name of the bundle that runs a command line. */
function bundleFor([command, platform]) {
  const isQuick = QUICK.commands.includes(command) && (command !== 'measure' || QUICK.platforms.includes(platform));
  return isQuick ? QUICK.name : 'bootseal';
}

/** Returns a bundle's exports, and how to store the code that V8 has compiled of it so far. */
function loadBundle(name) {
  const { bundle, compiled } = filesOf(name);
  const source = fs.readFileSync(bundle);
  const cachedData = readCompiled(source, compiled);
  const script = new vm.Script(wrap(source.toString('utf8')), { filename: bundle, cachedData });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, bundle, path.dirname(bundle));
  return { exports: module.exports, store: () => storeCompiled(source, compiled, script.createCachedData()) };
}

function readCompiled(source, compiled) {
  try {
    const stored = fs.readFileSync(compiled);
    const code = stored.subarray(HASH_SIZE);
    return bind(source, code).equals(stored.subarray(0, HASH_SIZE)) ? code : undefined;
  } catch {
    return undefined;
  }
}

function storeCompiled(source, compiled, code) {
  fs.writeFileSync(compiled, Buffer.concat([bind(source, code), code]));
}

/** The bundle's length stands first, so that no bytes can move from the code to the bundle or back. */
function bind(source, code) {
  return createHash('sha256').update(`${source.length}\n`).update(source).update(code).digest();
}

module.exports = { QUICK, bundleFor, filesOf, loadBundle };
