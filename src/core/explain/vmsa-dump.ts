/**
 * @module CPU state that a host tells: what KVM prints of the vCPUs in its kernel's log, or the pages themselves, as sev-snp-measure
 * --dump-vmsa writes them.
 */
import { BootsealError } from '../errors.ts';
import type { Platform } from '../measurement/measure.ts';
import { MAX_VCPUS } from '../measurement/vcpus.ts';
import { Vmsa } from '../measurement/vmsa.ts';
import { type LaunchAccount, NO_ACCOUNT } from './account.ts';
import { HEADING, PRINTED_SIZES, type PrintedVmsa, printedVmsas } from './printed-vmsas.ts';
import { lastLaunch, type PrintedLaunch, startOf } from './vmsa-launches.ts';

/** What the host tells. */
export interface VmsaDump {
  /** `vcpus` is absent where the log is cut, or may have those of several guests mixed. */
  readonly account: LaunchAccount;
  /** Launches in the log, of which the last is told. */
  readonly launches: number;
}

/** Where a struct reaches to the end of the page. */
const SIZES = [...PRINTED_SIZES, Vmsa.size];

const HINT =
  'lines are missing or changed: make the kernel’s log larger (log_buf_len=), start one guest, and give all of `dmesg`';

/** Reads pages, one after another, or the text of a kernel's log; throws `format` for what is neither. */
export function parseVmsaDump(bytes: Uint8Array): VmsaDump {
  const isPages = bytes.includes(0) && !hasHeading(bytes);
  const { pages, told, cut, vcpus, launches } = isPages ? rawPages(bytes) : printed(bytes);
  const account = {
    ...NO_ACCOUNT,
    from: 'vmsa-dump' as const,
    platform: platformOf(pages[0]),
    vcpus,
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
  readonly vcpus: number | undefined;
  readonly launches: number;
}

function rawPages(bytes: Uint8Array): Dump {
  if (bytes.length % Vmsa.size !== 0) {
    throw new BootsealError('format', `${bytes.length} bytes are neither VMSA pages of 4096 bytes nor a kernel’s log`, {
      hint: 'give the pages one after another, or what dmesg prints',
    });
  }
  const vcpus = bytes.length / Vmsa.size;
  if (vcpus > MAX_VCPUS) throw tooMany(vcpus);
  const pages = Array.from({ length: vcpus }, (_, i) =>
    Uint8Array.from(bytes.subarray(i * Vmsa.size, (i + 1) * Vmsa.size)),
  );
  return { pages, told: Vmsa.size, cut: false, vcpus, launches: 1 };
}

/** A log that went through a serial console or a crash has NULs too. */
function hasHeading(bytes: Uint8Array): boolean {
  const letters = [...HEADING].map((letter) => letter.charCodeAt(0));
  const [first = 0] = letters;
  for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
    if (letters.every((letter, i) => bytes[at + i] === letter)) return true;
  }
  return false;
}

function printed(bytes: Uint8Array): Dump {
  const launch = lastLaunch(printedVmsas(bytes.includes(0) ? bytes.filter((byte) => byte !== 0) : bytes));
  const [first] = launch?.vmsas ?? [];
  if (launch === undefined || first === undefined) {
    throw new BootsealError('format', `the log has no line "${HEADING}"`, {
      hint: "on the host: echo 'func sev_es_sync_vmsa +p' > /sys/kernel/debug/dynamic_debug/control, then start the guest and give dmesg",
    });
  }
  const { vmsas, count, isAlone, number } = launch;
  if (count > MAX_VCPUS) throw tooMany(count);
  const cut = isCut(vmsas, first);
  refuseLostStart(launch, first);
  const pages = (cut ? vmsas.slice(0, -1) : vmsas).map(({ page }) => page);
  return { pages, told: first.length, cut, vcpus: cut || !isAlone ? undefined : pages.length, launches: number };
}

/** Whether the last VMSA is there in part; throws `format` where another one is. */
function isCut(vmsas: readonly PrintedVmsa[], first: PrintedVmsa): boolean {
  const odd = vmsas.find(({ length }) => !SIZES.includes(length) || length !== first.length);
  if (odd === undefined) return false;
  if (odd !== first && odd === vmsas.at(-1) && odd.length < first.length) return true;
  const which = `VMSA ${odd.index} of the log has ${odd.length} bytes`;
  throw new BootsealError('format', `${which}, which no Linux prints`, { hint: HINT });
}

/** Only vCPUs that are not the first of their guest start in real mode elsewhere than at the reset vector. */
function refuseLostStart({ number }: PrintedLaunch, first: PrintedVmsa): void {
  const start = startOf(first);
  if (start === 'real') {
    const which = `VMSA ${first.index} of the log, the first of its launch, is that of no boot processor`;
    throw new BootsealError('format', which, { hint: HINT });
  }
  if (start === 'reset' || number > 1 || !first.isBehindLost) return;
  throw new BootsealError('format', 'the log begins within a VMSA: how many are lost before it is not known', {
    hint: HINT,
  });
}
