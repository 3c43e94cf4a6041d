// Loads dist/bootseal.cjs with the code that V8 compiled when the bundle was built. V8 itself refuses code of another version of
// V8 or of another source length, and then compiles anew.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { wrap } = require('node:module');

const BUNDLE = path.join(__dirname, '..', 'dist', 'bootseal.cjs');
const COMPILED = path.join(__dirname, '..', 'dist', 'bootseal.compiled');

/** Returns the bundle's exports, and the script that they come from. */
function loadBundle() {
  const options = { filename: BUNDLE, cachedData: readIfThere(COMPILED) };
  const script = new vm.Script(wrap(fs.readFileSync(BUNDLE, 'utf8')), options);
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, BUNDLE, path.dirname(BUNDLE));
  return { script, exports: module.exports };
}

function readIfThere(file) {
  try {
    return fs.readFileSync(file);
  } catch {
    return undefined;
  }
}

module.exports = { COMPILED, loadBundle };
