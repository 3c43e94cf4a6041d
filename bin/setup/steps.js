// How the set-up talks and runs programs: one line a step, and a program's own words only when it failed.
'use strict';
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** Prints one line for the person at the terminal. */
function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

/** Ends the set-up with what went wrong and what to try. */
function fail(message, hint) {
  say(`error: ${message}`);
  if (hint !== undefined) say(`hint: ${hint}`);
  process.exit(1);
}

/** As a shell has it for what Ctrl-C has ended. */
const STATUS_INTERRUPTED = 130;

/**
 * Runs a program quietly; returns whether it succeeded and everything it printed. Ctrl-C, which reaches the program too, ends the
 * set-up when it has ended the program: only then what is not finished can be removed (`exit`).
 */
function attempt(program, args, options = {}) {
  const later = () => undefined;
  process.on('SIGINT', later);
  const ran = spawnSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
    ...options,
  });
  process.off('SIGINT', later);
  if (ran.signal === 'SIGINT' || ran.status === STATUS_INTERRUPTED) process.exit(STATUS_INTERRUPTED);
  const printed = ran.error === undefined ? `${ran.stdout}${ran.stderr}` : ran.error.message;
  return { ok: ran.status === 0, printed, missing: ran.error !== undefined && !isProgram(program) };
}

/** Says whether there is a program of this name that may be run: in one of `folders`, which are separated by colons. */
function isProgram(name, folders = process.env['PATH'] ?? '') {
  return folders.split(':').some((folder) => {
    if (folder === '') return false;
    const file = path.join(folder, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return fs.statSync(file).isFile();
    } catch {
      return false;
    }
  });
}

/** Says what is being done, runs it, and ends the set-up with the program's last lines when it fails. */
function step(title, program, args, options) {
  const start = Date.now();
  say(`${title} …`);
  const ran = attempt(program, args, options);
  if (!ran.ok) fail(`${[program, ...args].join(' ')} failed`, excerpt(ran.printed));
  say(`${title}: done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

/** Moves a finished folder to its place, where another process may have put the same in the meantime: then that one stays. */
function moveToPlace(folder, place) {
  try {
    fs.renameSync(folder, place);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  }
}

/** Returns where a program says what is wrong: the head and the tail of what it printed. */
function excerpt(text) {
  const lines = text.trim().split('\n');
  const shown = lines.length <= 20 ? lines : [...lines.slice(0, 10), '…', ...lines.slice(-10)];
  return `it printed\n${shown.join('\n')}`;
}

module.exports = { attempt, excerpt, fail, isProgram, moveToPlace, say, step };
