#!/usr/bin/env node
// `npm run demo`: `bootseal lab demo` with what bin/setup/demo-data.js has put into the cache; options go to it. `demo.js up` and
// `demo.js attack` are `lab up` and `lab attack` with the same.
'use strict';
const { spawn } = require('node:child_process');
const path = require('node:path');
const { DEMO_DATA } = require('./setup/demo-data.js');

const { firmware, system, programs } = DEMO_DATA;
const [first, ...more] = process.argv.slice(2);
const given = ['--firmware', firmware, '--system', system];
const commands = { up: ['lab', 'up', ...more], attack: ['lab', 'attack', ...given, ...more] };
const args = Object.hasOwn(commands, first ?? '')
  ? commands[first]
  : ['lab', 'demo', ...given, ...process.argv.slice(2)];
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
