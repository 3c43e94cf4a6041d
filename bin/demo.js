#!/usr/bin/env node
// `npm run demo`: `bootseal lab demo` with what bin/setup/demo-data.js has put into the cache; options go to it.
'use strict';
const { spawn } = require('node:child_process');
const path = require('node:path');
const { DEMO_DATA } = require('./setup/demo-data.js');

const { firmware, system, programs } = DEMO_DATA;
const args = ['lab', 'demo', '--firmware', firmware, '--system', system, ...process.argv.slice(2)];
const child = spawn(process.execPath, [path.join(__dirname, 'bootseal.js'), ...args], {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${programs}` },
});
// The terminal sends Ctrl-C to both; what is sent to this process alone goes on to the one that has to clean up.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal));
child.on('exit', (status, signal) => {
  if (signal === null) process.exit(status);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
