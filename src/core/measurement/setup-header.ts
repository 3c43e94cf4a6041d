/**
 * @module What QEMU writes into the setup header of a Linux kernel before the guest's firmware reads it (hw/i386/x86-common.c,
 * x86_load_linux; Linux Documentation/arch/x86/boot.rst). QEMU 10.2 leaves the kernels of confidential guests alone (a7542a38f399).
 */
import { u8, u16le, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { finder } from '../firmware/search.ts';
import { memoryBelow4GiB } from './machine-memory.ts';

const namesVideoMode = finder(Uint8Array.of(0x76, 0x67, 0x61, 0x3d)); // "vga="

/** What of a launch the header depends on. */
export interface HeaderInputs {
  /** Without its NUL. */
  readonly cmdline: Uint8Array;
  /** Bytes; undefined without an initrd. */
  readonly initrdSize: number | undefined;
  /** Bytes; needed with an initrd. */
  readonly memory: number | undefined;
}

/** Offsets in the file (boot.rst, "Details of Header Fields"). */
const AT = {
  magic: 0x202,
  version: 0x206,
  typeOfLoader: 0x210,
  loadflags: 0x211,
  ramdiskImage: 0x218,
  ramdiskSize: 0x21c,
  heapEndPtr: 0x224,
  cmdLinePtr: 0x228,
  initrdAddrMax: 0x22c,
  xloadflags: 0x236,
  end: 0x268,
} as const;

const HDRS = 0x5372_6448;
const OLDEST = 0x202;
const LOADED_HIGH = 0x01;
const CAN_USE_HEAP = 0x80;
const XLOADFLAGS_SINCE = 0x20c;
const CAN_BE_LOADED_ABOVE_4G = 0x02;

/** What QEMU chooses for itself: 0xB is its number among loaders. */
const QEMU = { loader: 0xb0, heapEnd: 0xfe00, cmdline: 0x2_0000 } as const;

/** Memory that QEMU keeps free of the initrd for ACPI tables (hw/i386/pc.c, acpi_data_size). */
const ACPI_DATA = 0x2_8000;
const PAGE = 4096;

/**
 * Returns a copy of the kernel as QEMU before 10.2 hands it on; a program without Linux' setup header is handed on as it is. Throws
 * `usage` for a kernel or command line that it treats otherwise, an initrd that does not fit, and an initrd without a size of memory.
 */
export function withQemuHeader(kernel: Uint8Array, { cmdline, initrdSize, memory }: HeaderInputs): Uint8Array {
  if (kernel.length < AT.end || u32le.decode(kernel, AT.magic, 'kernel') !== HDRS) {
    if (initrdSize === undefined) return kernel;
    throw new BootsealError('usage', 'QEMU takes no initrd with a kernel that has no setup header', {
      hint: 'leave the initrd out, or give a bzImage',
    });
  }
  const version = u16le.decode(kernel, AT.version, 'kernel');
  if (version < OLDEST || (u8.decode(kernel, AT.loadflags, 'kernel') & LOADED_HIGH) === 0) {
    throw new BootsealError('usage', 'the kernel is of before Linux 2.4 or a zImage, which no TDX guest boots', {
      hint: 'give the file that QEMU gets as -kernel',
    });
  }
  if (namesVideoMode(cmdline)) {
    throw new BootsealError('usage', 'the command line has vga=, which QEMU writes into the kernel', {
      hint: 'leave it out: a kernel that EFI starts does not look at it',
    });
  }
  const out = new Uint8Array(kernel);
  const flags = u8.decode(out, AT.loadflags, 'kernel') | CAN_USE_HEAP;
  u8.encode(QEMU.loader, out, AT.typeOfLoader, 'type_of_loader');
  u8.encode(flags, out, AT.loadflags, 'loadflags');
  u16le.encode(QEMU.heapEnd, out, AT.heapEndPtr, 'heap_end_ptr');
  u32le.encode(QEMU.cmdline, out, AT.cmdLinePtr, 'cmd_line_ptr');
  if (initrdSize === undefined) return out;
  u32le.encode(initrdAddress(kernel, version, initrdSize, memory), out, AT.ramdiskImage, 'ramdisk_image');
  u32le.encode(initrdSize, out, AT.ramdiskSize, 'ramdisk_size');
  return out;
}

function initrdAddress(kernel: Uint8Array, version: number, size: number, memory: number | undefined): number {
  if (memory === undefined) {
    throw new BootsealError(
      'usage',
      "QEMU writes the initrd's address into the kernel, which depends on the size of memory",
      {
        hint: 'give --memory as QEMU gets it with -m, or --kernel-header unchanged for QEMU 10.2 and later',
      },
    );
  }
  const above4G =
    version >= XLOADFLAGS_SINCE && (u16le.decode(kernel, AT.xloadflags, 'kernel') & CAN_BE_LOADED_ABOVE_4G) !== 0;
  const kernelMax = above4G ? 0xffff_ffff : maxOf(kernel, version);
  const max = Math.min(kernelMax, memoryBelow4GiB(memory) - ACPI_DATA - 1);
  if (size >= max) {
    throw new BootsealError('usage', `the initrd of ${size} bytes does not fit below ${max}`, {
      hint: 'QEMU starts no such guest: give it more memory, or a smaller initrd',
    });
  }
  return Math.floor((max - size) / PAGE) * PAGE;
}

function maxOf(kernel: Uint8Array, version: number): number {
  return version >= 0x203 ? u32le.decode(kernel, AT.initrdAddrMax, 'kernel') : 0x37ff_ffff;
}
