// Loads dist/bootseal.cjs with the code that V8 compiled when the bundle was built. V8 itself refuses code of another version of
// V8, but neither code of another bundle of the same length nor damaged code, which ends the process: a hash before the code
// binds it to the bundle and to itself. Whatever is not right is compiled anew.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { wrap } = require('node:module');

const BUNDLE = path.join(__dirname, '..', 'dist', 'bootseal.cjs');
const COMPILED = path.join(__dirname, '..', 'dist', 'bootseal.compiled');
const HASH_SIZE = 32;

/** Returns the bundle's exports, and how to store the code that V8 has compiled of it so far. */
function loadBundle() {
  const source = fs.readFileSync(BUNDLE);
  const script = new vm.Script(wrap(source.toString('utf8')), { filename: BUNDLE, cachedData: readCompiled(source) });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, BUNDLE, path.dirname(BUNDLE));
  return { exports: module.exports, store: () => storeCompiled(source, script.createCachedData()) };
}

function readCompiled(source) {
  try {
    const stored = fs.readFileSync(COMPILED);
    const code = stored.subarray(HASH_SIZE);
    return bind(source, code).equals(stored.subarray(0, HASH_SIZE)) ? code : undefined;
  } catch {
    return undefined;
  }
}

function storeCompiled(source, code) {
  fs.writeFileSync(COMPILED, Buffer.concat([bind(source, code), code]));
}

/** The bundle's length stands first, so that no bytes can move from the code to the bundle or back. */
function bind(source, code) {
  return createHash('sha256').update(`${source.length}\n`).update(source).update(code).digest();
}

module.exports = { COMPILED, loadBundle };
