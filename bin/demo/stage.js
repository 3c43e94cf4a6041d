// Shows the demo: each command as it would be typed, what it prints, and how it ends. A command that ends otherwise than the
// demo says ends the demo.
'use strict';
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const COMMAND = path.join(__dirname, '..', 'bootseal.js');
const WIDTH = 118;

// Whoever closes the pipe early has seen enough.
process.stdout.on('error', () => process.exit(0));

class Stage {
  #folder;
  #step = 0;

  constructor(folder) {
    this.#folder = folder;
  }

  path(name) {
    return path.join(this.#folder, name);
  }

  read(name) {
    return fs.readFileSync(this.path(name));
  }

  title(text) {
    const done = text.startsWith('Done');
    print(`\n${bold(done ? text : `${++this.#step}. ${text}`)}`);
  }

  say(text) {
    print(`   ${text}`);
  }

  /** Runs bootseal and shows it: of its lines only those that match `show`. It must end with `status`. */
  run(args, { status = 0, show = /^[^:]*$/ } = {}) {
    print(wrapped(args));
    const ran = this.quietly(args, status);
    for (const line of `${ran.stdout}${ran.stderr}`.replaceAll(`${this.#folder}/`, '').split('\n')) {
      const shown = show.exec(line)?.[0].trim();
      if (shown) print(`     ${shown.length > WIDTH ? `${shown.slice(0, WIDTH - 1)}…` : shown}`);
    }
    if (status !== 0) print(`     (exit status ${ran.status})`);
    return ran;
  }

  quietly(args, status = 0) {
    const ran = spawnSync(process.execPath, [COMMAND, ...args], { cwd: this.#folder, encoding: 'utf8' });
    if (ran.status !== status) this.fail(`bootseal ${args.join(' ')} ended with ${ran.status}\n${ran.stderr}`);
    return ran;
  }

  fail(message) {
    process.stderr.write(`demo: error: ${message}\n`);
    process.exit(1);
  }
}

function print(text) {
  process.stdout.write(`${text}\n`);
}

function bold(text) {
  const plain = !process.stdout.isTTY || process.env['NO_COLOR'];
  return plain ? text : `\x1b[1m${text}\x1b[0m`;
}

/** Returns the command line, broken between options; an option and its value stay together. */
function wrapped(args) {
  const pieces = [];
  for (const word of args) {
    const quoted = /^[\w./=,-]+$/.test(word) ? word : `'${word}'`;
    const isValue = !word.startsWith('-') && /^--\S+$/.test(pieces.at(-1) ?? '');
    if (isValue) pieces.push(`${pieces.pop()} ${quoted}`);
    else pieces.push(quoted);
  }
  const lines = ['   $ bootseal'];
  for (const piece of pieces) {
    const last = lines.at(-1);
    if (last.length + piece.length > WIDTH - 4) lines.push(`       ${piece}`);
    else lines[lines.length - 1] = `${last} ${piece}`;
  }
  return lines.join(' \\\n');
}

module.exports = { Stage };
