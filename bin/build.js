// Builds the command as one CommonJS file: on Node 20 the loader of ES modules costs 20 ms of every start.
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

esbuild
  .build({
    entryPoints: ['src/cli/start.ts'],
    outfile: 'dist/bootseal.cjs',
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [withoutSubprograms],
  })
  .catch(() => {
    process.exitCode = 1;
  });
