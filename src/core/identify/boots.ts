/** @module What may have been booted: what the owner believes, and the usual slips in it, fewest first. */
import type { Hashes } from '../hash.ts';
import { bytesToHex } from '../hex.ts';
import type { KernelHashes } from '../measurement/hash-table.ts';
import { hashCommandLine, type PossibleCommandLine, possibleCommandLines } from './command-lines.ts';
import { kataLines } from './kata-words.ts';
import type { HeaderChange } from './kernel-header.ts';

/** A file that the owner believes was booted; SHA-256, 32 bytes. */
export interface BelievedFile {
  readonly name: string;
  readonly sha256: Uint8Array;
}

/** A kernel, and what it may have been changed to before it was measured. */
export interface BelievedKernel extends BelievedFile {
  readonly changed?: readonly ChangedKernel[] | undefined;
}

/** SHA-256 (32 bytes) of a kernel with another setup header. */
export interface ChangedKernel {
  readonly sha256: Uint8Array;
  readonly change: HeaderChange;
  /** The initrd that the header tells of; undefined when it tells of none. */
  readonly initrd: string | undefined;
}

/** What the owner believes, each alternative once. */
export interface Belief {
  readonly kernels: readonly BelievedKernel[];
  readonly initrds: readonly BelievedFile[];
  /** Command lines without the NUL that ends them. */
  readonly cmdlines: readonly Uint8Array[];
  /** The most vCPUs of guests for which the words of Kata Containers are tried too; undefined for not at all. */
  readonly kataVcpus?: number | undefined;
  /** With kataVcpus: what kataVerityWord makes of the hash trees that Kata's image may have. */
  readonly kataVerity?: readonly string[] | undefined;
}

/** One way in which a launch differs from what the owner believes. */
export type BootSlip =
  | 'no-kernel-hashes'
  | 'kernel-behind-svsm'
  | 'initrd-missing'
  | 'kernel-and-initrd-swapped'
  | 'kernel-header'
  | 'cmdline-trimmed'
  | 'cmdline-without-newline'
  | 'cmdline-with-newline'
  | 'cmdline-with-space'
  | 'cmdline-with-spaces'
  | 'cmdline-with-leading-space'
  | 'cmdline-with-crlf'
  | 'cmdline-without-initrd-word'
  | 'cmdline-with-kata-words'
  | 'cmdline-with-kata-debug-console'
  | 'cmdline-empty';

/** What each means, for people. */
export const SLIP_TEXTS: Readonly<Record<BootSlip, string>> = {
  'no-kernel-hashes':
    'no kernel is measured: the guest was started without kernel-hashes=on, and the host can boot it with any kernel, initrd and command line',
  'kernel-behind-svsm':
    'no kernel is measured: nothing measures one behind an SVSM, and the host can boot any kernel, initrd and command line there',
  'initrd-missing': 'no initrd, or an empty one, is measured',
  'kernel-and-initrd-swapped': 'the kernel is measured as the initrd, and the initrd as the kernel',
  'kernel-header':
    'the kernel is measured with what a VMM writes into its setup header; QEMU leaves the header of a kernel that it hashes alone',
  'cmdline-trimmed':
    'the command line is measured without the blanks around it, which virtee/sev and snpguest up to 8.0.0 cut off',
  'cmdline-without-newline': 'the command line is measured without the newline at its end',
  'cmdline-with-newline': 'the command line is measured with a newline at its end',
  'cmdline-with-space': 'the command line is measured with a space at its end',
  'cmdline-with-spaces': 'the command line is measured with two spaces at its end',
  'cmdline-with-leading-space': 'the command line is measured with a space before it',
  'cmdline-with-crlf': 'the command line is measured with a carriage return and a newline at its end',
  'cmdline-without-initrd-word':
    'the command line is measured without "initrd=initrd" at its start or end, which OVMF adds in the guest (/proc/cmdline), after it was measured',
  'cmdline-with-kata-words':
    'the command line is measured with the words that Kata Containers puts around kernel_params',
  'cmdline-with-kata-debug-console':
    "the command line has Kata's agent open a debug console: whoever runs the host has a shell in the guest",
  'cmdline-empty': 'an empty command line is measured',
};

/** One candidate. */
export interface Boot {
  /** Absent when no kernel is measured. */
  readonly hashes: KernelHashes | undefined;
  readonly kernel: string | undefined;
  /** What is written over the kernel before it is measured. */
  readonly kernelChange?: HeaderChange | undefined;
  readonly initrd: string | undefined;
  readonly cmdline: Uint8Array | undefined;
  readonly slips: readonly BootSlip[];
  /** The only number of vCPUs with which it is booted so; undefined for any. */
  readonly vcpus?: number | undefined;
}

/** What is measured of a launch in which nothing is booted directly. */
const NOTHING: Boot = { hashes: undefined, kernel: undefined, initrd: undefined, cmdline: undefined, slips: [] };

/** Of these each firmware goes with one alone: `isBootOf`. */
const UNMEASURED: readonly BootSlip[] = ['no-kernel-hashes', 'kernel-behind-svsm'];

/** Whether a firmware may be started so, with an SVSM below it or without: nothing measures a kernel behind one. */
export function isBootOf({ hashes, slips }: Boot, withSvsm: boolean): boolean {
  if (withSvsm) return hashes === undefined && !slips.includes('no-kernel-hashes');
  return !slips.includes('kernel-behind-svsm');
}

/** Returns every candidate once, those with fewer slips first. */
export function possibleBoots(belief: Belief, hashes: Hashes): readonly Boot[] {
  if (belief.kernels.length === 0) return [NOTHING];
  const initrds = [...belief.initrds.map(whole), ...missingInitrd(belief, hashes)];
  const cmdlines = possibleCommandLines(belief.cmdlines);
  const boots = belief.kernels.flatMap((kernel) =>
    initrds.flatMap((initrd) =>
      cmdlines.filter(goesWith(initrd)).map((cmdline) => ({
        hashes: {
          kernel: kernel.sha256,
          initrd: initrd.file.sha256,
          cmdline: hashCommandLine(cmdline.bytes, hashes),
        },
        kernel: kernel.name,
        initrd: initrd.present ? initrd.file.name : undefined,
        cmdline: cmdline.bytes,
        slips: [...initrd.slips, ...cmdline.slips],
      })),
    ),
  );
  const swapped = boots.filter(hasInitrd(hashes)).flatMap(withFilesSwapped);
  const changed = boots.flatMap((boot) => withChangedKernel(boot, belief));
  const wrapped = boots.flatMap((boot) => withKataWords(boot, belief, hashes));
  const unmeasured = UNMEASURED.map((slip) => ({ ...NOTHING, slips: [slip] }));
  return [...boots, ...swapped, ...changed, ...wrapped, ...unmeasured].sort((a, b) => a.slips.length - b.slips.length);
}

/** What is rare is not looked for together with another slip. */
const RARE: ReadonlySet<BootSlip> = new Set([
  'cmdline-with-spaces',
  'cmdline-with-leading-space',
  'cmdline-with-crlf',
] as const);

const goesWith =
  ({ slips: others }: PossibleInitrd) =>
  ({ slips }: PossibleCommandLine) =>
    others.length === 0 || slips.length === 0 || (slips.length === 1 && slips.every((slip) => !RARE.has(slip)));

/** What comes with every other slip: how a line was kept says nothing about the host. */
const COMMON: ReadonlySet<BootSlip> = new Set([
  'cmdline-without-newline',
  'cmdline-with-newline',
  'cmdline-without-initrd-word',
] as const);

const isCommon = ({ slips }: Boot) => slips.every((slip) => COMMON.has(slip));

/** An empty kernel is none that a host starts. */
function hasInitrd({ sha256 }: Hashes): (boot: Boot & { readonly hashes: KernelHashes }) => boolean {
  const nothing = bytesToHex(sha256(new Uint8Array()));
  return ({ initrd, hashes }) => initrd !== undefined && bytesToHex(hashes.initrd) !== nothing;
}

/** Of launches that have no other slip but common ones. */
function withFilesSwapped(boot: Boot & { readonly hashes: KernelHashes }): readonly Boot[] {
  if (!isCommon(boot)) return [];
  const { hashes, kernel, initrd, slips } = boot;
  return [
    {
      ...boot,
      hashes: { ...hashes, kernel: hashes.initrd, initrd: hashes.kernel },
      ...{ kernel: initrd, initrd: kernel },
      slips: ['kernel-and-initrd-swapped', ...slips],
    },
  ];
}

/** Of launches that have no other slip but common ones. */
function withChangedKernel(boot: Boot & { readonly hashes: KernelHashes }, { kernels }: Belief): readonly Boot[] {
  if (!isCommon(boot)) return [];
  const { changed = [] } = kernels.find(({ name }) => name === boot.kernel) ?? {};
  return changed
    .filter(({ initrd }) => initrd === undefined || initrd === boot.initrd)
    .map(({ sha256, change }) => ({
      ...boot,
      hashes: { ...boot.hashes, kernel: sha256 },
      kernelChange: change,
      slips: ['kernel-header', ...boot.slips],
    }));
}

/** Of launches that have no other slip but common ones. */
function withKataWords(
  boot: Boot & { readonly hashes: KernelHashes; readonly cmdline: Uint8Array },
  { kataVcpus, kataVerity = [] }: Belief,
  hashes: Hashes,
): readonly Boot[] {
  if (kataVcpus === undefined || !isCommon(boot)) return [];
  const guest = { withInitrd: boot.initrd !== undefined, mostVcpus: kataVcpus, verity: kataVerity };
  return kataLines(boot.cmdline, guest).map(({ bytes, vcpus, debugConsole }) => ({
    ...boot,
    hashes: { ...boot.hashes, cmdline: hashCommandLine(bytes, hashes) },
    cmdline: bytes,
    vcpus,
    slips: [...(debugConsole ? CONSOLE_SLIPS : WORD_SLIPS), ...boot.slips],
  }));
}

const WORD_SLIPS: readonly BootSlip[] = ['cmdline-with-kata-words'];
const CONSOLE_SLIPS: readonly BootSlip[] = [...WORD_SLIPS, 'cmdline-with-kata-debug-console'];

interface PossibleInitrd {
  readonly file: BelievedFile;
  readonly present: boolean;
  readonly slips: readonly BootSlip[];
}

const whole = (file: BelievedFile): PossibleInitrd => ({ file, present: true, slips: [] });

/** No initrd is measured as an empty one; that is a slip only where there should be one. */
function missingInitrd({ initrds }: Belief, hashes: Hashes): readonly PossibleInitrd[] {
  const file = { name: '', sha256: hashes.sha256(new Uint8Array()) };
  return [{ file, present: false, slips: initrds.length === 0 ? [] : ['initrd-missing'] }];
}
