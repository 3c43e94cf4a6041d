// Builds the command and its worker thread, each as one CommonJS file: on Node 20 the loader of ES modules costs 20 ms of every start.
'use strict';
const esbuild = require('esbuild');

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

const OPTIONS = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
};

/** Bundles the command. */
function buildCommand() {
  return esbuild.build({
    ...OPTIONS,
    entryPoints: ['src/cli/start.ts'],
    outfile: 'dist/bootseal.cjs',
    plugins: [withoutSubprograms],
    // What CommonJS has not: every module in the bundle says that it stands in dist/host/image, as the one that asks does in the library.
    define: { 'import.meta.url': 'MODULE_URL' },
    banner: { js: 'const MODULE_URL=require("node:url").pathToFileURL(__dirname+"/host/image/").href;' },
  });
}

/** Bundles the thread that encrypts images, for the command, the library and the tests alike. */
function buildWorker() {
  return esbuild.build({ ...OPTIONS, entryPoints: ['src/host/image/worker.ts'], outfile: 'dist/image-worker.cjs' });
}

module.exports = { buildWorker };

if (require.main === module) {
  Promise.all([buildCommand(), buildWorker()]).catch(() => {
    process.exitCode = 1;
  });
}
