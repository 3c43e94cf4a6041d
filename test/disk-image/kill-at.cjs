// Loaded before bootseal (node --require): kills the process at one point of its writing. BOOTSEAL_KILL_AT=N counts two points for
// each write, sync and rename: in the middle of it (half of the bytes written, or nothing done) and right after it.
'use strict';
const fs = require('node:fs');

const point = Number(process.env['BOOTSEAL_KILL_AT']);
let passed = 0;

function pass() {
  if (passed++ === point) process.kill(process.pid, 'SIGKILL');
}

const { writeSync, fsyncSync } = fs;
const { rename } = fs.promises;

fs.writeSync = (fd, bytes, offset, length, at) => {
  if (typeof at !== 'number') return writeSync(fd, bytes, offset, length, at);
  const half = Math.ceil(length / 2);
  const first = writeSync(fd, bytes, offset, half, at);
  pass();
  const rest = half < length ? writeSync(fd, bytes, offset + half, length - half, at + half) : 0;
  pass();
  return first + rest;
};

fs.fsyncSync = (fd) => {
  pass();
  fsyncSync(fd);
  pass();
};

fs.promises.rename = async (from, to) => {
  pass();
  await rename(from, to);
  pass();
};
