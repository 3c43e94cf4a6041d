/** @module The tree of Debian packages that guests are made of (bin/setup/guest-packages.js): programs, libraries, a kernel. */
import { createRequire } from 'node:module';
import * as path from 'node:path';
import {
  findKernel,
  type SystemKernel,
  type SystemPath,
  withLibraries as withSystemLibraries,
} from '../../src/lab/system/system.ts';
import type { Needed } from '../needs.ts';

export const { GUEST_TREE } = createRequire(import.meta.url)('../../bin/setup/guest-packages.js') as {
  GUEST_TREE: string;
};

/** What tests with a guest need. */
export const GUEST: Needed = {
  name: 'QEMU, or the Debian packages of a guest,',
  files: ['/usr/bin/qemu-system-x86_64', GUEST_TREE],
  how: 'run npm test as root once, or install qemu-system-x86 and run node bin/setup.js test',
};

/** Returns the real place of a file of the tree. */
export const inTree = (name: SystemPath): string => path.join(GUEST_TREE, name);

/** The kernel in the tree. */
export function guestKernel(): SystemKernel {
  const kernel = findKernel(GUEST_TREE);
  if (kernel === undefined) throw new Error(`no kernel in ${GUEST_TREE}`);
  return kernel;
}

/** The version of the kernel in the tree, as `uname -r` says it. */
export const kernelVersion = (): string => guestKernel().version;
/** The kernel in the tree. */
export const kernelFile = (): string => inTree(guestKernel().file);

/** Returns programs with their loader and all libraries that they need. */
export const withLibraries = (programs: readonly SystemPath[]): readonly SystemPath[] =>
  withSystemLibraries(GUEST_TREE, programs);
