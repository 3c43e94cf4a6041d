// The files that are measured: Debian's OVMF, and a kernel and an initrd of random bytes, 75 MiB together.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

const FIXTURE = path.join(import.meta.dirname, '..', 'test', 'fixtures', 'debian-ovmf', 'OVMF.amdsev_2026.08.fd.br');
const MIB = 1 << 20;

/** Random bytes with as much of a setup header (Linux Documentation/arch/x86/boot.rst) as makes them a kernel that is loaded high. */
function linuxKernel(size) {
  const kernel = randomBytes(size);
  kernel.write('HdrS', 0x202);
  kernel.writeUInt16LE(0x20f, 0x206);
  kernel[0x211] = 1;
  kernel.writeUInt32LE(0x7fffffff, 0x22c);
  kernel.writeUInt16LE(2, 0x236);
  return kernel;
}

/** Writes them into a new folder, which `remove` removes. */
export function makeInputs() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bootseal-bench-'));
  const write = (name, bytes) => {
    fs.writeFileSync(path.join(folder, name), bytes);
    return path.join(folder, name);
  };
  return {
    firmware: write('OVMF.fd', brotliDecompressSync(fs.readFileSync(FIXTURE))),
    kernel: write('kernel', linuxKernel(8 * MIB)),
    initrd: write('initrd', randomBytes(67 * MIB)),
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}
