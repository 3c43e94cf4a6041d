/** @module Kernel, initrd and command line of a direct boot: read in pieces, kept as hashes. */
import { createHash } from 'node:crypto';
import { BootsealError } from '../core/errors.ts';
import type { KernelHashes } from '../core/measurement/hash-table.ts';
import { isLinuxKernel } from '../core/measurement/linux-kernel.ts';
import { KERNEL_HEAD_BYTES, unifiedKernelParts } from '../core/measurement/unified-kernel.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { type Io, readInput, remark, streamInput } from './io.ts';

/** What an output says of an input. */
export interface HashedFile {
  /** 64 hexadecimal digits. */
  readonly sha256: string;
  readonly bytes: number;
  /** Only for a firmware descriptor: what it says of the image that it stands for, which nothing here can check. */
  readonly claims?: { readonly sha256: string | null; readonly bytes: number };
}

/** The roles a booted file can have. */
export type BootedFile = 'kernel' | 'initrd' | 'cmdline';

/** Options that name what is booted. */
export interface BootedOptions {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly cmdlineFile?: string;
  readonly stripNewline?: boolean;
}

/** Far beyond COMMAND_LINE_SIZE of any kernel. */
const CMDLINE_LIMIT = 1 << 20;

/** What is booted. */
export interface Booted {
  readonly hashes: KernelHashes | undefined;
  /** Without its NUL; absent without a kernel. */
  readonly cmdline: Uint8Array | undefined;
  readonly files: Partial<Record<BootedFile, HashedFile>>;
}

/** Hashes what is booted; nothing without --kernel. Throws `usage` for an empty kernel, and for an initrd or command line without one, `io` for files. */
export async function bootedFiles(io: Io, options: BootedOptions): Promise<Booted> {
  if (options.kernel === undefined) {
    const without = (['initrd', 'cmdline', 'cmdlineFile'] as const).find((key) => options[key] !== undefined);
    if (without !== undefined || options.stripNewline === true) {
      throw new BootsealError('usage', 'an initrd or command line is measured only together with --kernel', {
        hint: 'add --kernel, or leave both out: without a kernel the firmware starts one from its disk',
      });
    }
    return { hashes: undefined, cmdline: undefined, files: {} };
  }
  const cmdline = await commandLine(io, options);
  const kernel = await hashInput(io, options.kernel);
  if (kernel.file.bytes === 0) throw emptyKernel();
  remarkOnUnifiedKernel(io, kernel.head);
  if (!isLinuxKernel(kernel.head)) remark(io, 'warning', NO_LINUX_KERNEL);
  const initrd = options.initrd === undefined ? undefined : await hashInput(io, options.initrd);
  const hashes = {
    kernel: kernel.hash,
    initrd: initrd?.hash ?? nodeHashes.sha256(new Uint8Array()),
    // QEMU hashes the command line with its terminating NUL.
    cmdline: nodeHashes.sha256(Buffer.concat([cmdline, Uint8Array.of(0)])),
  };
  const text = { sha256: Buffer.from(nodeHashes.sha256(cmdline)).toString('hex'), bytes: cmdline.length };
  return {
    hashes,
    cmdline,
    files: { kernel: kernel.file, ...(initrd === undefined ? {} : { initrd: initrd.file }), cmdline: text },
  };
}

const NO_LINUX_KERNEL =
  'the kernel has no boot header of Linux (HdrS at byte 0x202): QEMU refuses such a file, or starts it without the kernel hashes that are measured here; are --kernel and --initrd swapped?';

function remarkOnUnifiedKernel(io: Io, head: Uint8Array): void {
  const parts = unifiedKernelParts(head);
  if (parts.length === 0) return;
  remark(
    io,
    'note',
    `the kernel is a unified kernel image: its hash covers the whole file with its sections ${parts.join(', ')}; the hashes of initrd and command line are those of --initrd and --cmdline alone`,
  );
}

/** QEMU hands the sizes of kernel and initrd to the guest in 32 bits (hw/i386/x86-common.c, fw_cfg_add_i32); what goes on is no file of either. */
export const MOST_BYTES = 2 ** 32 - 1;

/** Hashes a file in pieces; `head` is its first bytes, as many as tell what it is. Throws `io`. */
export async function hashInput(
  io: Io,
  name: string,
): Promise<{ readonly hash: Uint8Array; readonly file: HashedFile; readonly head: Uint8Array }> {
  const hash = createHash('sha256');
  const head = new Uint8Array(KERNEL_HEAD_BYTES);
  let kept = 0;
  const bytes = await streamInput(
    io,
    name,
    (piece) => {
      hash.update(piece);
      const more = piece.subarray(0, head.length - kept);
      head.set(more, kept);
      kept += more.length;
    },
    MOST_BYTES,
  );
  const digest = hash.digest();
  return { hash: digest, file: { sha256: digest.toString('hex'), bytes }, head: head.subarray(0, kept) };
}

/** Reads the command line, without the NUL that ends it; throws `usage` for one that no QEMU gets, `io`. */
export async function commandLine(io: Io, options: BootedOptions): Promise<Uint8Array> {
  if (options.cmdline !== undefined && options.cmdlineFile !== undefined) {
    throw new BootsealError('usage', '--cmdline and --cmdline-file exclude each other', {
      hint: 'leave one of them out',
    });
  }
  if (options.stripNewline === true && options.cmdlineFile === undefined) {
    throw new BootsealError('usage', '--strip-newline goes with --cmdline-file', {
      hint: 'give --cmdline-file, or leave it out',
    });
  }
  // Node has replaced what it could not decode: other bytes would be measured than QEMU gets.
  if (options.cmdline?.includes('\u{fffd}') === true) {
    throw new BootsealError('usage', '--cmdline holds bytes that are not UTF-8, which arrive here changed', {
      hint: 'give the command line as --cmdline-file',
    });
  }
  const given =
    options.cmdlineFile === undefined
      ? Buffer.from(options.cmdline ?? '')
      : await readInput(io, options.cmdlineFile, CMDLINE_LIMIT);
  if (given.includes(0)) {
    throw new BootsealError('usage', 'the command line holds a NUL byte, at which QEMU would end it', {
      hint: 'write the command line again, as text',
    });
  }
  const strip = options.stripNewline === true && given.at(-1) === 0x0a;
  if (strip) remark(io, 'note', 'one newline at the end of the command line was left out');
  const cmdline = strip ? given.subarray(0, -1) : given;
  if (cmdline.at(-1) === 0x0a) {
    const way = strip ? '' : '; --strip-newline leaves it out';
    remark(io, 'warning', `the command line ends in a newline, which is measured${way}`);
  }
  remarkOnText(io, cmdline);
  return cmdline;
}

/** What editors of other systems leave, and what nobody sees. */
function remarkOnText(io: Io, cmdline: Uint8Array): void {
  if (cmdline.includes(0x0d)) remark(io, 'warning', 'the command line holds a carriage return, which is measured');
  if ([0xef, 0xbb, 0xbf].every((byte, i) => cmdline[i] === byte)) {
    remark(io, 'warning', 'the command line begins with a byte order mark, which is measured');
  }
}

/** Returns the refusal of a kernel that is empty. */
export function emptyKernel(): BootsealError {
  return new BootsealError(
    'usage',
    'the kernel is empty, and QEMU starts none (hw/i386/x86-common.c, x86_load_linux)',
    {
      hint: 'give the file that QEMU gets as -kernel, or leave --kernel out',
    },
  );
}
