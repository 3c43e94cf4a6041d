#!/usr/bin/env node
// CommonJS, one file, and V8's compiled code beside it: on Node 20 loading modules and compiling them costs more than the work.
'use strict';
const { bundleFor, loadBundle } = require('./bundle.js');
void loadBundle(bundleFor(process.argv.slice(2))).exports.start();
