/** @module An initrd made by a test: files of the guests' tree and files that stand in the test. */
import { type InitrdContent, writeInitrd as write } from '../../src/lab/system/initrd.ts';
import { GUEST_TREE, guestKernel } from './guest-tree.ts';

/** How the first program of an initrd of busybox begins. */
export const MOUNTED = `#!/bin/busybox sh
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
`;

/** Writes an initrd, uncompressed. */
export const writeInitrd = (file: string, content: InitrdContent): Promise<void> =>
  write(GUEST_TREE, guestKernel(), file, content);
