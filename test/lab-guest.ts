/** @module Guests on the lab's platform, without QEMU: what a host hands to the PSP is what a test says. */
import * as crypto from 'node:crypto';
import { parseFirmware } from '../src/core/firmware/firmware.ts';
import { kernelHashTable } from '../src/core/measurement/hash-table.ts';
import { findProfile } from '../src/core/measurement/profiles.ts';
import { vcpuPages } from '../src/core/measurement/vcpus.ts';
import { loadGuest } from '../src/lab/load.ts';
import { PspGuest } from '../src/lab/psp/guest.ts';
import type { LabPlatform } from '../src/lab/psp/platform.ts';

/** What the host starts, which may be another thing than the owner wants. */
export interface HostGuest {
  readonly policy: number;
  /** Base64 texts as QEMU reads them; undefined for a guest without an owner. */
  readonly owner: { readonly godh: string; readonly session: string } | undefined;
  readonly firmware: Uint8Array;
  readonly kernel: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly vcpus: number;
}

/** A launched guest and its memory by address. */
export interface LaunchedGuest {
  readonly guest: PspGuest;
  readonly memory: Map<number, Uint8Array>;
  /** Base64 of the 48 bytes. */
  readonly measurement: string;
}

/** CPUID signature of EPYC-v4. */
const SIGNATURE = 0x800f12;

/** Launches a guest as QEMU would, with profile `qemu`. */
export function launchGuest(platform: LabPlatform, host: HostGuest): LaunchedGuest {
  const memory = new Map<number, Uint8Array>();
  const guest = new PspGuest(platform, { write: (gpa, bytes) => void memory.set(gpa, bytes) });
  const { gpa, hashArea, resetAddress } = parseFirmware(host.firmware);
  const hash = (text: string) => crypto.createHash('sha256').update(text).digest();
  const { kernel, initrd = '', cmdline = '' } = host;
  const table = kernelHashTable({ kernel: hash(kernel), initrd: hash(initrd), cmdline: hash(`${cmdline}\0`) });
  const pages = vcpuPages(findProfile('qemu'), SIGNATURE, 0n, resetAddress);
  const isEs = (host.policy & 4) !== 0;
  const vmsas = isEs ? Array.from({ length: host.vcpus }, (_, i) => (i === 0 ? pages.bsp : pages.ap())) : [];
  const { blob } = loadGuest(guest, {
    policy: host.policy,
    owner: host.owner && { godh: bytes(host.owner.godh), session: bytes(host.owner.session) },
    firmware: { gpa, bytes: host.firmware },
    hashTable: hashArea && { gpa: hashArea.base, bytes: table },
    vmsas,
  });
  return { guest, memory, measurement: Buffer.from(blob).toString('base64') };
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'base64');
