#!/usr/bin/env node
// Writes man/*.1 from the command tree, or says with --check which pages are not what the commands are now.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const FOLDER = path.join(__dirname, '..', 'man');

async function main() {
  const { manualPages } = await import('../dist/cli/manual.js');
  const { describeCommand } = await import('../dist/cli/tree.js');
  const { wholeProgram } = await import('../dist/cli/main.js');
  const { processIo } = await import('../dist/cli/io.js');
  const pages = manualPages(describeCommand(await wholeProgram(processIo())));
  fs.mkdirSync(FOLDER, { recursive: true });
  const stale = [...pages].filter(([name, text]) => read(name) !== text).map(([name]) => name);
  const gone = fs.readdirSync(FOLDER).filter((name) => !pages.has(name));
  if (process.argv.includes('--check')) {
    for (const name of [...stale, ...gone]) console.error(`man/${name} is not up to date: run npm run man`);
    process.exitCode = stale.length + gone.length === 0 ? 0 : 1;
    return;
  }
  for (const name of stale) fs.writeFileSync(path.join(FOLDER, name), pages.get(name));
  for (const name of gone) fs.rmSync(path.join(FOLDER, name));
  console.error(`man: ${pages.size} pages, ${stale.length} written, ${gone.length} removed`);
}

function read(name) {
  const file = path.join(FOLDER, name);
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
}

void main();
