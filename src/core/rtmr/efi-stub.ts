/**
 * @module What Linux' EFI stub extends into RTMR2: its load options and the initrd, since 6.9 (drivers/firmware/efi/libstub/
 * efi-stub-helper.c, efi_measure_tagged_event; "efi/libstub: Measure into CC protocol if TCG2 protocol is absent").
 */
import { concat, u16le, u32le } from '../bytes.ts';
import { finder } from '../firmware/search.ts';
import { guidToBytes, parseGuid } from '../guid.ts';
import type { Hashes } from '../hash.ts';
import { encodeUtf8 } from '../utf8.ts';
import { EV, type PredictedEvent } from './events.ts';
import type { BootProfile } from './profiles.ts';

/** What of a boot the stub extends. */
export interface StubInputs {
  /** The whole file. */
  readonly kernel: Uint8Array;
  /** Its size in bytes and SHA-384; undefined without one. */
  readonly initrd: { readonly bytes: number; readonly sha384: Uint8Array } | undefined;
  /** Without its NUL. */
  readonly cmdline: Uint8Array;
  readonly profile: BootProfile;
}

const INITRD_WORD = 'initrd=initrd';

/**
 * Returns the events of the stub: the options that the firmware gives it, in UTF-16 with a NUL, and the initrd; none of a kernel of a
 * {@link silentRelease}.
 */
export function stubEvents(
  { kernel, cmdline, initrd, profile }: StubInputs,
  { sha384 }: Pick<Hashes, 'sha384'>,
): readonly PredictedEvent[] {
  if (silentRelease(kernel) !== undefined) return [];
  const booted = initrd === undefined || initrd.bytes === 0 ? undefined : initrd;
  const word = booted === undefined ? '' : profile.initrdWord === 'first' ? `${INITRD_WORD} ` : ` ${INITRD_WORD}`;
  const line = profile.initrdWord === 'first' ? concat(encodeUtf8(word), cmdline) : concat(cmdline, encodeUtf8(word));
  const event = (name: string, digest: Uint8Array): PredictedEvent => ({
    rtmr: 2,
    type: EV.eventTag,
    name,
    digest: new Uint8Array(digest),
    missing: undefined,
  });
  return [
    ...(line.length === 0 ? [] : [event('load options', sha384(loadOptions(line)))]),
    ...(booted === undefined ? [] : [event('initrd', booted.sha384)]),
  ];
}

/** OVMF makes each byte of the command line one character. */
function loadOptions(line: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 * line.length + 2);
  for (const [i, byte] of line.entries()) out[2 * i] = byte;
  return out;
}

/** EFI_CC_MEASUREMENT_PROTOCOL_GUID; in the stub, which is not compressed, compilers make it two constants of eight bytes. */
const CC_PROTOCOL = guidToBytes(parseGuid('96751a3d-72f4-41a6-a794-ed5d0e67ae6b'));
const looksFor = [CC_PROTOCOL.subarray(0, 8), CC_PROTOCOL.subarray(8)].map((half) => finder(half));

const SINCE = { major: 6, minor: 9 } as const;

/**
 * Returns the release of a kernel whose stub extends nothing: it is older than the change, and the distribution has not taken it earlier
 * either. RTMR2 is then zeros whatever is booted. A host cannot lie about it: the digest of the kernel in RTMR1 covers its version.
 */
export function silentRelease(kernel: Uint8Array): string | undefined {
  const release = kernelRelease(kernel);
  const [, major, minor] = /^([0-9]{1,3})\.([0-9]{1,5})/.exec(release ?? '') ?? [];
  if (release === undefined || major === undefined || minor === undefined) return undefined;
  const older = Number(major) < SINCE.major || (Number(major) === SINCE.major && Number(minor) < SINCE.minor);
  return older && !looksFor.every((found) => found(kernel)) ? release : undefined;
}

/** Offsets in the file, and where the number in kernel_version counts from (Documentation/arch/x86/boot.rst). */
const AT = { magic: 0x202, kernelVersion: 0x20e, from: 0x200 } as const;
const HDRS = 0x5372_6448;
const LONGEST = 64;

/** Returns the first word of what a kernel says of its version, such as `6.12.107-amd64`; undefined where it says nothing. */
function kernelRelease(kernel: Uint8Array): string | undefined {
  if (kernel.length < AT.kernelVersion + u16le.size) return undefined;
  const offset = u16le.decode(kernel, AT.kernelVersion, 'kernel');
  if (offset === 0 || u32le.decode(kernel, AT.magic, 'kernel') !== HDRS) return undefined;
  const text = String.fromCharCode(...kernel.subarray(AT.from + offset, AT.from + offset + LONGEST));
  return /^[0-9][0-9A-Za-z.+~_-]*/.exec(text)?.[0];
}
