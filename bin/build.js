// Builds the command and its worker threads, each as one CommonJS file: on Node 20 the loader of ES modules costs 20 ms of every start.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const esbuild = require('esbuild');
const { QUICK, filesOf, loadBundle } = require('./bundle.js');

/** commander loads node:child_process (7 ms) for a feature that bootseal does not use: subcommands that are programs of their own. */
const withoutSubprograms = {
  name: 'without-subprograms',
  setup(build) {
    build.onResolve({ filter: /^node:child_process$/ }, (found) =>
      /[\\/]commander[\\/]/.test(found.importer) ? { path: found.path, namespace: 'absent' } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: 'absent' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** A firmware of one page is enough to run every function of a measurement once, so that its code is in the cache. */
const SAMPLE = path.join(__dirname, '..', 'test', 'fixtures', 'sev-snp-measure', 'ovmf_AmdSev_suffix.bin');

/** Leaves out of a bundle every command but some, and what these load only when it is asked for. */
const onlyCommands = (commands) => ({
  name: 'only-commands',
  setup(build) {
    build.onResolve({ filter: /^\.\/[a-z-]+\.ts$/ }, (found) => {
      const isLoadedLate = found.kind === 'dynamic-import' && path.basename(path.dirname(found.importer)) === 'cli';
      return isLoadedLate && !commands.includes(path.basename(found.path, '.ts'))
        ? { path: found.path, external: true }
        : undefined;
    });
  },
});

/** Writes what V8 compiles for the most usual commands beside a bundle. */
async function compile(name) {
  fs.rmSync(filesOf(name).compiled, { force: true });
  const { exports, store } = loadBundle(name);
  const silent = { write() {}, isTTY: false };
  const io = { stdin: [], stdout: silent, stderr: silent, cwd: process.cwd(), now: () => new Date(0) };
  const guest = ['--firmware', SAMPLE, '--kernel', SAMPLE, '--cpu', 'EPYC'];
  for (const platform of QUICK.platforms) await exports.run(['measure', platform, ...guest], io);
  if (name !== QUICK.name) await exports.run(['--help'], io);
  store();
}

const OPTIONS = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
};

/** Bundles the command: all of it, or what starts quickly. */
async function buildCommand(name, plugins) {
  await esbuild.build({
    ...OPTIONS,
    entryPoints: ['src/cli/start.ts'],
    outfile: filesOf(name).bundle,
    plugins: [withoutSubprograms, ...plugins],
    // What CommonJS has not: every module in the bundle says that it stands in dist/host/image, as the one that asks does in the library.
    define: { 'import.meta.url': 'MODULE_URL' },
    banner: { js: 'const MODULE_URL=require("node:url").pathToFileURL(__dirname+"/host/image/").href;' },
  });
  await compile(name);
}

/** Bundles the threads that encrypt and hash images and that search, for the command, the library and the tests alike. */
function buildWorker() {
  const threads = {
    'image-worker': 'image/worker.ts',
    'verity-worker': 'image/verity-worker.ts',
    'identify-worker': 'identify/worker.ts',
  };
  return Promise.all(
    Object.entries(threads).map(([name, file]) =>
      esbuild.build({ ...OPTIONS, entryPoints: [`src/host/${file}`], outfile: `dist/${name}.cjs` }),
    ),
  );
}

module.exports = { buildWorker };

if (require.main === module) {
  const builds = [buildCommand('bootseal', []), buildCommand(QUICK.name, [onlyCommands(QUICK.commands)])];
  Promise.all([...builds, buildWorker()]).catch((error) => {
    if (!('errors' in error)) console.error(error); // esbuild has printed its own
    process.exitCode = 1;
  });
}
