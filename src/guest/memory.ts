/**
 * @module Secrets in physical memory, for kernels without the driver: through busybox's `devmem`, which maps /dev/mem. Node
 * cannot map, and where memory is encrypted read(2) of /dev/mem gives ciphertext: only a mapping has the bit that decrypts (linux
 * arch/x86/mm/mem_encrypt_amd.c, add_encrypt_protection_map; arch/x86/mm/ioremap.c).
 */
import { BootsealError } from '../core/errors.ts';
import type { Area } from '../core/firmware/firmware.ts';
import { secretAreaOf } from '../core/guest/command-line.ts';
import { isKept } from '../core/guest/memory-map.ts';
import type { Program } from '../host/program.ts';
import { areaSource, type Bytes } from './area.ts';
import { type Guest, isThere, kernelText } from './guest.ts';
import type { SecretSource } from './source.ts';

const BUSYBOX: Program = { name: 'busybox', package: 'busybox' };

const BUSYBOX_HINT = "take the busybox of Debian's package, or a kernel with the driver efi_secret";

/** Bytes that devmem reads or writes at once. */
const WORD = 8;

/** Returns the area that the command line names as a source, or one sentence that says why there is none. */
export async function findMemory(guest: Guest): Promise<SecretSource | string> {
  const commandLine = await kernelText(guest, '/proc/cmdline');
  if (commandLine === undefined) return '/proc is not mounted; try: mount -t proc proc /proc';
  let area: Area | undefined;
  try {
    area = secretAreaOf(commandLine);
  } catch (error) {
    if (error instanceof BootsealError) return error.message;
    throw error;
  }
  if (area === undefined) return 'the kernel command line names no secret area (bootseal.secret=ADDRESS,SIZE)';
  const obstacle = await obstacleTo(guest, area);
  return obstacle ?? areaSource('memory', placeOf(area), devmem(guest, area));
}

const placeOf = ({ base, size }: Area): string => `/dev/mem at 0x${base.toString(16)}, ${size} bytes`;

async function obstacleTo(guest: Guest, area: Area): Promise<string | undefined> {
  if (!guest.isRootUser) return '/dev/mem is for root only';
  if (!(await isThere(guest, '/dev/mem'))) return 'there is no /dev/mem (CONFIG_DEVMEM, or /dev is not mounted)';
  const lockdown = await kernelText(guest, '/sys/kernel/security/lockdown');
  const level = /\[(integrity|confidentiality)\]/.exec(lockdown ?? '')?.[1];
  if (level !== undefined)
    return `the kernel is locked down (${level}), which closes /dev/mem: use a kernel with efi_secret`;
  const kept = isKept((await kernelText(guest, '/proc/iomem')) ?? '', area);
  if (kept.kept) return undefined;
  const found = kept.found === null ? 'does not list it' : `says ${JSON.stringify(kept.found)}`;
  return `${placeOf(area)}: not kept for secrets, /proc/iomem ${found}; is it the area of this firmware?`;
}

/** Reads and zeroes through `busybox devmem ADDRESS WIDTH [VALUE]`; no value but zero is ever an argument. */
function devmem(guest: Guest, { base, size }: Area): Bytes {
  async function run(at: number, width: number, value?: 0): Promise<string> {
    const address = `0x${(base + at).toString(16)}`;
    const args = ['devmem', address, `${8 * width}`, ...(value === undefined ? [] : [`${value}`])];
    try {
      return (await guest.run(BUSYBOX, { args })).stdout;
    } catch (error) {
      if (!(error instanceof BootsealError) || error.kind !== 'tool') throw error;
      throw explained(error, address);
    }
  }

  async function word(at: number, width: number): Promise<Uint8Array> {
    const digits = /^0x([0-9a-f]+)\s*$/i.exec(await run(at, width))?.[1];
    if (digits?.length !== 2 * width) {
      throw new BootsealError('tool', `busybox devmem printed no number of ${8 * width} bits`, { hint: BUSYBOX_HINT });
    }
    return new Uint8Array(Buffer.from(digits, 'hex').reverse());
  }

  return {
    size,
    async read(at, count) {
      const out = new Uint8Array(count);
      let start = at - (at % WORD);
      while (start < at + count) {
        // What lies behind the area is no secret, and may be no memory.
        const bytes = await word(start, start + WORD <= size ? WORD : 1);
        for (const [i, byte] of bytes.entries()) {
          const to = start + i - at;
          if (to >= 0 && to < count) out[to] = byte;
        }
        start += bytes.length;
        bytes.fill(0);
      }
      return out;
    },
    async zero(at, count) {
      for (let next = at; next < at + count; ) {
        const width = next % WORD === 0 && at + count - next >= WORD ? WORD : 1;
        await run(next, width, 0);
        next += width;
      }
    },
  };
}

function explained(error: BootsealError, address: string): BootsealError {
  if (/not permitted/.test(error.message)) {
    return new BootsealError('io', `the kernel does not let /dev/mem be mapped at ${address}`, {
      hint: 'lockdown, or an area in use (CONFIG_STRICT_DEVMEM): use a kernel with efi_secret',
      cause: error,
    });
  }
  if (/applet not found/.test(error.message)) {
    return new BootsealError('tool', 'this busybox has no devmem', {
      hint: BUSYBOX_HINT,
      cause: error,
    });
  }
  return error;
}
