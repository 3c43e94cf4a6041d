/** @module libvirt's virt-qemu-sev-validate (Debian package libvirt-clients-qemu), the peer for SEV and SEV-ES launches. */
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import type { ApiVersion } from '../../src/core/measurement/api-version.ts';
import type { Needed } from '../needs.ts';

const PROGRAM = '/usr/bin/virt-qemu-sev-validate';
const MODULES = '/usr/lib/python3/dist-packages';

/** What must be installed. */
export const LIBVIRT_PEER: Needed = {
  name: 'virt-qemu-sev-validate',
  files: [PROGRAM, `${MODULES}/lxml/__init__.py`, `${MODULES}/libvirt.py`, `${MODULES}/cryptography/__init__.py`],
  how: 'run npm test as root once, or install libvirt-clients-qemu python3-lxml python3-libvirt python3-cryptography',
};

/** A guest and what is asked about it; all names are paths of files. */
export interface PeerCase {
  readonly firmware: string;
  readonly kernel: string | null;
  readonly initrd: string | null;
  /** The command line itself. */
  readonly cmdline: string | null;
  readonly policy: number;
  readonly api: ApiVersion;
  readonly vcpus: number;
  readonly cpu: { readonly family: number; readonly model: number; readonly stepping: number };
  readonly tk: string;
  /** Base64 of 48 bytes. */
  readonly measurement: string;
  /** The same with one bit changed. */
  readonly changed: string;
  readonly secrets: readonly (readonly [guid: string, path: string])[];
  /** 32 hexadecimal digits. */
  readonly iv: string;
}

/** A packet in base64. */
export interface PeerPacket {
  readonly header: string;
  readonly payload: string;
}

/** What the peer makes of a guest; digests in hexadecimal. */
export interface PeerAnswer {
  readonly digest: string;
  /** Its own measure for the nonce of the case's measurement. */
  readonly measure: string;
  readonly acceptsRight: boolean;
  readonly acceptsChanged: boolean;
  /** With an IV of its own. */
  readonly packet: PeerPacket;
  readonly packetWithIv: PeerPacket;
}

/** Asks the peer's own code about many guests at once. */
export function askPeer(cases: readonly PeerCase[]): readonly PeerAnswer[] {
  const ran = python([path.join(import.meta.dirname, 'peer.py')], JSON.stringify(cases));
  if (ran.status !== 0) throw new Error(`the peer failed: ${ran.stderr}`);
  return JSON.parse(ran.stdout) as PeerAnswer[];
}

/** Runs the peer as a person would. Its exit status: 0 right, 1 wrong. */
export function runPeer(args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = python([PROGRAM, ...args], '');
  return { status, output: stdout + stderr };
}

// Debian's interpreter by name: its packages are not seen by another Python that may come first in PATH.
function python(args: readonly string[], input: string) {
  return spawnSync('/usr/bin/python3', args, { input, encoding: 'utf8', maxBuffer: 1 << 26 });
}
