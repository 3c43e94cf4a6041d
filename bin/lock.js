#!/usr/bin/env node
// Run after any `npm install`: completes package-lock.json with the optional packages for other platforms that a registry
// mirror did not have. `npm install` leaves those out without a word, and then `npm ci` refuses the lock everywhere.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const FILE = path.join(__dirname, '..', 'package-lock.json');
const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const CPU = {
  arm: 'arm',
  arm64: 'arm64',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  x64: 'x64',
};
const LIBC = { gnu: 'glibc', gnueabihf: 'glibc', musl: 'musl', musleabihf: 'musl' };

const lock = JSON.parse(fs.readFileSync(FILE, 'utf8'));
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`;
    if (place in lock.packages || !/^\d+\.\d+\.\d+$/.test(version)) continue;
    const platform = platformOf(name);
    if (platform === undefined) continue;
    lock.packages[place] = { version, ...platform, ...(parent.dev ? { dev: true } : {}), optional: true };
    console.error(`added ${name} ${version}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
fs.writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);

/** Reads what these packages put into their names: `binding-linux-x64-gnu` runs on linux, x64, glibc. */
function platformOf(name) {
  const words = name.split('/').at(-1).split('-');
  const at = words.findIndex((word) => OS.includes(word));
  const cpu = CPU[words[at + 1]];
  if (at < 0 || cpu === undefined) return undefined;
  const libc = words[at] === 'linux' ? LIBC[words[at + 2] ?? 'gnu'] : undefined;
  return { cpu: [cpu], ...(libc === undefined ? {} : { libc: [libc] }), os: [words[at]] };
}
