/** @module An initrd made by a test: files of the guests' tree and files that stand in the test. */
import { type InitrdContent, writeInitrd as write } from '../../src/lab/system/initrd.ts';
import { GUEST_TREE, guestKernel } from './guest-tree.ts';

/** Writes an initrd, uncompressed. */
export const writeInitrd = (file: string, content: InitrdContent): Promise<void> =>
  write(GUEST_TREE, guestKernel(), file, content);
