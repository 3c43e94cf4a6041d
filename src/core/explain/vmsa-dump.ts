/**
 * @module CPU state that a host tells: what KVM prints in sev_es_sync_vmsa when dynamic debugging is on (Linux
 * arch/x86/kvm/svm/sev.c, print_hex_dump_debug without offsets), or the pages themselves, as sev-snp-measure --dump-vmsa writes them.
 */
import { BootsealError } from '../errors.ts';
import type { Platform } from '../measurement/measure.ts';
import { MAX_VCPUS } from '../measurement/vcpus.ts';
import { RESET_VECTOR, Vmsa } from '../measurement/vmsa.ts';
import { type LaunchAccount, NO_ACCOUNT } from './account.ts';

/** What the host tells. */
export interface VmsaDump {
  readonly account: LaunchAccount;
  /** Launches in the log, of which the last is told. */
  readonly launches: number;
}

const HEADING = 'Virtual Machine Save Area (VMSA):';
/** Bytes in a line. */
const LINE = 16;

/** sizeof(struct sev_es_save_area): 0x408 bytes before its floating-point registers were declared in Linux, 0x670 since. */
const SIZES = [0x408, 0x670, Vmsa.size];

/** As many bytes at the end of a line as a line has, or as the last line of the smaller structure has. */
const BYTES = /(?:^|[\s:\]])((?:[0-9a-f]{2} ){15}[0-9a-f]{2}|(?:[0-9a-f]{2} ){7}[0-9a-f]{2})$/;

const HINT =
  'lines are missing or changed: make the kernel’s log larger (log_buf_len=), start one guest, and give all of `dmesg`';

/** Reads pages, one after another, or the text of a kernel's log; throws `format` for what is neither. */
export function parseVmsaDump(bytes: Uint8Array): VmsaDump {
  const { pages, told, cut, launches } = bytes.includes(0) ? rawPages(bytes) : dumps(bytes);
  if (pages.length > MAX_VCPUS) throw tooMany(pages.length);
  const account = {
    ...NO_ACCOUNT,
    from: 'vmsa-dump' as const,
    platform: platformOf(pages[0]),
    vcpus: cut ? undefined : pages.length,
    vmsas: { pages, told, cut },
  };
  return { account, launches };
}

function tooMany(count: number): BootsealError {
  return new BootsealError('format', `${count} VMSAs, and a guest has at most ${MAX_VCPUS} vCPUs`, {
    hint: 'give those of one launch',
  });
}

/** KVM sets SNP_ACTIVE of every SNP guest, and of no other. */
function platformOf(first: Uint8Array | undefined): Platform | undefined {
  if (first === undefined) return undefined;
  return (Vmsa.unpack(first).sev_features & 1n) === 1n ? 'snp' : 'sev-es';
}

interface Dump {
  readonly pages: readonly Uint8Array[];
  readonly told: number;
  readonly cut: boolean;
  readonly launches: number;
}

function rawPages(bytes: Uint8Array): Dump {
  if (bytes.length % Vmsa.size !== 0) {
    throw new BootsealError('format', `${bytes.length} bytes are neither VMSA pages of 4096 bytes nor a kernel’s log`, {
      hint: 'give the pages one after another, or what dmesg prints',
    });
  }
  const pages = Array.from({ length: bytes.length / Vmsa.size }, (_, i) =>
    Uint8Array.from(bytes.subarray(i * Vmsa.size, (i + 1) * Vmsa.size)),
  );
  return { pages, told: Vmsa.size, cut: false, launches: 1 };
}

function dumps(bytes: Uint8Array): Dump {
  const all = textDumps(bytes);
  const starts = launchStarts(all);
  const before = starts.at(-1) ?? 0;
  const found = all.slice(before);
  const [first] = found;
  if (first === undefined) {
    throw new BootsealError('format', `the log has no line "${HEADING}"`, {
      hint: "on the host: echo 'func sev_es_sync_vmsa +p' > /sys/kernel/debug/dynamic_debug/control, then start the guest and give dmesg",
    });
  }
  const odd = found.findIndex(({ length }) => !SIZES.includes(length) || length !== first.length);
  const cut = odd > 0 && odd === found.length - 1 && (found[odd]?.length ?? 0) < first.length;
  if (odd !== -1 && !cut) {
    const which = `VMSA ${before + odd} of the log has ${found[odd]?.length} bytes`;
    throw new BootsealError('format', `${which}, which no Linux prints`, { hint: HINT });
  }
  const pages = (cut ? found.slice(0, -1) : found).map(page);
  return { pages, told: first.length, cut, launches: starts.length };
}

/** Where launches begin: boot processors come first, and start at the reset vector as no other vCPU does. Those of SVSMs start all alike. */
function launchStarts(all: readonly (readonly number[])[]): readonly number[] {
  return [...all.keys()].filter((i) => i === 0 || isBootProcessor(all[i] ?? []));
}

function isBootProcessor(dump: readonly number[]): boolean {
  const { cs, rip } = Vmsa.unpack(page(dump));
  return cs.base === BigInt((RESET_VECTOR & 0xffff0000) >>> 0) && rip === BigInt(RESET_VECTOR & 0xffff);
}

function page(dump: readonly number[]): Uint8Array {
  const whole = new Uint8Array(Vmsa.size);
  whole.set(dump);
  return whole;
}

/** The bytes after each heading. Other lines between them are left out: no other has as many bytes. */
function textDumps(bytes: Uint8Array): readonly (readonly number[])[] {
  const found: number[][] = [];
  for (const line of linesOf(bytes)) {
    const dump = found.at(-1);
    if (line.endsWith(HEADING)) {
      if (found.push([]) > MAX_VCPUS) throw tooMany(found.length);
    } else if (dump !== undefined && dump.length < Vmsa.size) {
      const digits = BYTES.exec(line)?.[1]?.split(' ') ?? [];
      if (digits.length === LINE || dump.length + digits.length === SIZES[0]) {
        for (const two of digits) dump.push(Number.parseInt(two, 16));
      }
    }
  }
  return found;
}

/** Of longer lines only the end can be of a dump; shorter ones than half a line of bytes hold nothing. */
const LONGEST_LINE = 512;
const SHORTEST_LINE = 3 * 8 - 1;

function* linesOf(bytes: Uint8Array): Generator<string> {
  let start = 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    if (end - start >= SHORTEST_LINE) {
      yield String.fromCharCode(...bytes.subarray(Math.max(start, end - LONGEST_LINE), end)).trimEnd();
    }
    start = end + 1;
  }
}
