/** @module Paths of Unix sockets, which are shorter than those of files. */
import { BootsealError } from '../core/errors.ts';

/** Bytes of `sun_path` without the NUL that ends it (Linux include/uapi/linux/un.h). */
export const MAX_SOCKET_PATH = 107;

/** Bytes that a path takes. */
export function socketPathSize(path: string): number {
  return Buffer.byteLength(path);
}

/** Throws `usage` for a path that no socket can have: Node would cut it, and meet another socket there. */
export function checkSocketPath(path: string): void {
  const size = socketPathSize(path);
  if (size <= MAX_SOCKET_PATH) return;
  throw new BootsealError('usage', `the path of a socket has at most ${MAX_SOCKET_PATH} bytes, not ${size}: ${path}`, {
    hint: 'choose a shorter one, such as in a folder of yours below /tmp (that is also where TMPDIR can lie)',
  });
}
