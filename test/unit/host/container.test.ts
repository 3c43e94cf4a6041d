import { execFileSync } from 'node:child_process';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { containerLayers, withFolderFiles } from '../../../src/host/archive/container.ts';
import { scratch } from '../../cli/script.ts';

it('a pipe under the name of a document of an image is none, and nobody waits for what comes out of it', async () => {
  const { folder, remove } = scratch();
  try {
    for (const name of ['oci-layout', 'manifest.json']) execFileSync('mkfifo', [path.join(folder, name)]);
    expect(await withFolderFiles(folder, (files) => containerLayers(files, undefined))).toBeUndefined();
  } finally {
    remove();
  }
});
