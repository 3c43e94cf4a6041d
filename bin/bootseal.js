#!/usr/bin/env node
// CommonJS and one file: on Node 20 the module loader alone costs a fifth of the start-up time.
'use strict';
require('../dist/bootseal.cjs');
