#!/usr/bin/env node
// Makes a clone ready: `node bin/setup.js [test|demo]`. Plain Node, since nothing is installed yet when it runs; does only
// what is missing, so that it can stand before every `npm test` and `npm run demo`.
'use strict';
const { fetchDemoData } = require('./setup/demo-data.js');
const { buildEfiSecret } = require('./setup/efi-secret-driver.js');
const { fetchGuestPackages } = require('./setup/guest-packages.js');
const { installPeers } = require('./setup/peers.js');
const { build, installPackages } = require('./setup/project.js');
const { fail, say } = require('./setup/steps.js');

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node ${process.versions.node} is too old`, 'bootseal needs Node 20.19 or newer');
}

const MODES = {
  test: () => {
    installPeers();
    fetchGuestPackages();
    buildEfiSecret();
  },
  demo: fetchDemoData,
};
const [mode, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (mode !== undefined && !Object.hasOwn(MODES, mode))) {
  say(`usage: node bin/setup.js [${Object.keys(MODES).join('|')}]`);
  process.exit(2);
}

installPackages();
build();
if (mode !== undefined) MODES[mode]();
