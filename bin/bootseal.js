#!/usr/bin/env node
// CommonJS, one file, and V8's compiled code beside it: on Node 20 loading modules and compiling them costs more than the work.
'use strict';
void require('./bundle.js').loadBundle().exports.start();
