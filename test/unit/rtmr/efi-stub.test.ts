import { describe, expect, it } from 'vitest';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { silentRelease, stubEvents } from '../../../src/core/rtmr/efi-stub.ts';
import { extendAll } from '../../../src/core/rtmr/events.ts';
import { findBootProfile } from '../../../src/core/rtmr/profiles.ts';
import { linuxKernel } from '../../linux-kernel.ts';

const initrd = { bytes: 3, sha384: new Uint8Array(48).fill(7) };
const cmdline = Uint8Array.from(Buffer.from('quiet'));
const profile = findBootProfile('edk2-202508');

const eventsOf = (kernel: Uint8Array) => stubEvents({ kernel, initrd, cmdline, profile }, nobleHashes);
const isPredicted = (kernel: Uint8Array) => eventsOf(kernel).length > 0;
const ofRelease = (release: string) => linuxKernel({ release });

/** The two halves of EFI_CC_MEASUREMENT_PROTOCOL_GUID (UEFI 2.10, 38.2), as code has them. */
const HALVES = ['3d1a7596f472a641', 'a794ed5d0e67ae6b'].map((hex) => Buffer.from(hex, 'hex'));
function withCode(kernel: Uint8Array, ...codes: readonly Uint8Array[]): Uint8Array {
  for (const [i, code] of codes.entries()) kernel.set(code, 0x800 + 22 * i);
  return kernel;
}

describe('the events of an EFI stub', () => {
  it('are the load options and the initrd, of a new kernel, and of one that says nothing of its version', () => {
    for (const kernel of [
      ofRelease('6.9.0'),
      ofRelease('6.12.107+deb13-cloud-amd64 (a@b) #1'),
      ofRelease('7.0'),
      linuxKernel(),
    ]) {
      expect(eventsOf(kernel).map(({ rtmr, type, name }) => [rtmr, type, name])).toEqual([
        [2, 6, 'load options'],
        [2, 6, 'initrd'],
      ]);
      expect(eventsOf(kernel).every(({ digest }) => digest?.length === 48)).toBe(true);
      expect(silentRelease(kernel)).toBeUndefined();
    }
    expect(eventsOf(ofRelease('6.9.0'))[1]?.digest).toEqual(initrd.sha384);
  });

  it.each([
    '6.8.0-51-generic',
    '6.1.0-50-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP',
    '5.15.1',
    '4.99',
    '6.8',
  ])('are none of Linux %s, which extends nothing whatever it is booted with', (release) => {
    const kernel = ofRelease(release);
    expect(eventsOf(kernel)).toEqual([]);
    expect(silentRelease(kernel)).toBe(release.split(' ')[0]);
    const [, , rtmr2] = extendAll(eventsOf(kernel), nobleHashes);
    expect(rtmr2).toEqual({ rtmr: 2, value: new Uint8Array(48), missing: [] });
  });

  it('are those of a new kernel where an older one has the protocol in its code', () => {
    expect(isPredicted(withCode(ofRelease('6.8.0-51-generic'), ...HALVES))).toBe(true);
    expect(isPredicted(withCode(ofRelease('6.8.0-51-generic'), ...HALVES.slice(0, 1)))).toBe(false);
    expect(isPredicted(withCode(ofRelease('6.8.0-51-generic'), ...HALVES.slice(1)))).toBe(false);
  });

  it('do not depend on a version that is none, or lies behind the end of the file', () => {
    for (const release of ['custom', '', '6', 'v5.4']) expect(isPredicted(ofRelease(release))).toBe(true);
    const outside = ofRelease('5.4.0');
    outside.set([0xff, 0xff], 0x20e);
    expect(isPredicted(outside)).toBe(true);
    expect(isPredicted(new Uint8Array(0x20f))).toBe(true);
    const other = ofRelease('5.4.0');
    other.set([0], 0x202);
    expect(isPredicted(other)).toBe(true);
  });
});
