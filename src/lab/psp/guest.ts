/**
 * @module One guest as AMD's SEV firmware keeps it: the state machine of a launch and the commands that move it (AMD SEV API 55766,
 * chapter 6; amd/AMD-ASPFW fw/psp_bl_uapps/sev_uapp/src/sev_mcmd.c and sev_guest.c). Only the encryption of the guest's memory is
 * missing: what lies in `memory` stays readable.
 */
import * as crypto from 'node:crypto';
import { type Channel, equal, hmac, type OpenChannel, openChannel, u32 } from './channel.ts';
import type { LabPlatform } from './platform.ts';
import { FirmwareError, type StatusName } from './status.ts';

/** States by QEMU's names (`query-sev`); the specification has UNINIT, LUPDATE, LSECRET and RUNNING. */
export type GuestState = 'uninit' | 'launch-update' | 'launch-secret' | 'running';

/** The guest's memory by guest physical address; throws when an address is not RAM. */
export interface GuestMemory {
  write(gpa: number, bytes: Uint8Array): void;
}

const ES = 1 << 2;
const RESERVED = 0xffc0;
const VMSA_SIZE = 4096;
const PACKET_HEADER = 52;
/** The most that KVM hands over at once, SEV_FW_BLOB_MAX_SIZE (linux drivers/crypto/ccp/sev-dev.c); the firmware itself takes 0x5000. */
const MAX_SECRET = 0x4000;
/** KVM's name for the code that the context byte of a measurement stands for, and that of a secret. */
const CONTEXT = { measure: 0x04, secret: 0x01 };

/** What the owner is told: 32 bytes and 16, or all 48. */
export interface Measured {
  readonly digest: Uint8Array;
  readonly blob: Uint8Array;
}

/** A guest in the making. */
export class PspGuest {
  readonly #platform: LabPlatform;
  readonly #memory: GuestMemory;
  readonly #digest = crypto.createHash('sha256');
  #channel: Channel | undefined;
  #measured: Measured | undefined;
  #state: GuestState = 'uninit';
  #policy = 0;

  constructor(platform: LabPlatform, memory: GuestMemory) {
    this.#platform = platform;
    this.#memory = memory;
  }

  get state(): GuestState {
    return this.#state;
  }

  get policy(): number {
    return this.#policy;
  }

  /** What LAUNCH_MEASURE has answered, if it was called. */
  get measured(): Measured | undefined {
    return this.#measured;
  }

  /** LAUNCH_START. Without an owner's session the transport keys are zeros, as in AMD's firmware. */
  launchStart(policy: number, owner: Omit<OpenChannel, 'policy'> | undefined): void {
    this.#require('LAUNCH_START', this.#state === 'uninit', 'INVALID_GUEST_STATE');
    const channel =
      owner === undefined
        ? { tek: new Uint8Array(16), tik: new Uint8Array(16) }
        : openChannel({ ...owner, policy }, this.#platform.pdhKey);
    this.#require('LAUNCH_START', (policy & RESERVED) === 0 && this.#supports(policy), 'POLICY_FAILURE');
    this.#channel = channel;
    this.#policy = policy;
    this.#state = 'launch-update';
  }

  /** Bits 16-23 are the oldest API major, 24-31 the oldest minor that the owner accepts. */
  #supports(policy: number): boolean {
    const { major, minor } = this.#platform.api;
    const wanted = { major: (policy >>> 16) & 0xff, minor: policy >>> 24 };
    return wanted.major < major || (wanted.major === major && wanted.minor <= minor);
  }

  /** LAUNCH_UPDATE_DATA: measures these bytes, which the host has put at `gpa`. */
  launchUpdateData(gpa: number, bytes: Uint8Array): void {
    this.#update('LAUNCH_UPDATE_DATA', gpa, bytes);
  }

  /** LAUNCH_UPDATE_VMSA: measures the initial state of one vCPU. */
  launchUpdateVmsa(page: Uint8Array): void {
    this.#require('LAUNCH_UPDATE_VMSA', page.length === VMSA_SIZE, 'INVALID_LENGTH');
    this.#require('LAUNCH_UPDATE_VMSA', this.#state === 'launch-update', 'INVALID_GUEST_STATE');
    this.#require('LAUNCH_UPDATE_VMSA', (this.#policy & ES) !== 0, 'UNSUPPORTED');
    this.#update('LAUNCH_UPDATE_VMSA', 0, page);
  }

  #update(command: string, gpa: number, bytes: Uint8Array): void {
    this.#require(command, this.#state === 'launch-update', 'INVALID_GUEST_STATE');
    this.#require(command, gpa % 16 === 0, 'INVALID_ADDRESS');
    this.#require(command, bytes.length % 16 === 0 && bytes.length > 0, 'INVALID_LENGTH');
    this.#digest.update(bytes);
  }

  /** LAUNCH_MEASURE: ends the digest and returns measure and nonce, 48 bytes. */
  launchMeasure(): Measured {
    this.#require('LAUNCH_MEASURE', this.#state === 'launch-update', 'INVALID_GUEST_STATE');
    const digest = this.#digest.digest();
    const nonce = crypto.randomBytes(16);
    const { major, minor, build } = this.#platform.api;
    const message = [Buffer.of(CONTEXT.measure, major, minor, build), u32(this.#policy), digest, nonce];
    const measure = hmac(this.#keys().tik, ...message);
    this.#state = 'launch-secret';
    this.#measured = { digest, blob: Buffer.concat([measure, nonce]) };
    return this.#measured;
  }

  /**
   * LAUNCH_SECRET: takes a packet and writes what is in it to `gpa`, which the packet does not say: the host chooses it. May be called
   * again until LAUNCH_FINISH.
   */
  launchSecret(header: Uint8Array, payload: Uint8Array, gpa: number): void {
    const require = (holds: boolean, status: StatusName) => this.#require('LAUNCH_SECRET', holds, status);
    require(gpa % 16 === 0, 'INVALID_ADDRESS');
    const length = payload.length;
    require(header.length === PACKET_HEADER &&
      length > 0 &&
      length % 16 === 0 &&
      length <= MAX_SECRET, 'INVALID_LENGTH');
    require(this.#state === 'launch-secret', 'INVALID_GUEST_STATE');
    const { tek, tik } = this.#keys();
    const [flags, iv, mac] = [header.subarray(0, 4), header.subarray(4, 20), header.subarray(20)];
    const measure = this.#measured?.blob.subarray(0, 32) ?? new Uint8Array();
    const lengths = [u32(length), u32(length)];
    require(equal(
      hmac(tik, Buffer.of(CONTEXT.secret), flags, iv, ...lengths, payload, measure),
      mac,
    ), 'BAD_MEASUREMENT');
    require((flags.at(0) ?? 0) % 2 === 0, 'UNSUPPORTED');
    this.#memory.write(gpa, crypto.createDecipheriv('aes-128-ctr', tek, iv).update(payload));
  }

  /** LAUNCH_FINISH: the guest runs, and the channel is closed for good. */
  launchFinish(): void {
    this.#require('LAUNCH_FINISH', this.#state === 'launch-secret', 'INVALID_GUEST_STATE');
    this.#keys().tek.fill(0);
    this.#keys().tik.fill(0);
    this.#channel = undefined;
    this.#state = 'running';
  }

  /** ATTESTATION: digest and policy, signed by the PEK; 208 bytes. */
  attestation(nonce: Uint8Array): Uint8Array {
    const { digest } = this.#measured ?? {};
    if (digest === undefined) throw new FirmwareError('ATTESTATION', 'INVALID_GUEST_STATE');
    const signed = Buffer.concat([nonce, digest, u32(this.#policy)]);
    const numbers = this.#platform.signWithPek(signed);
    const half = (from: number, to: number) => {
      const number = Buffer.from(numbers.subarray(from, to)).reverse();
      return Buffer.concat([number, Buffer.alloc(72 - number.length)]);
    };
    const size = numbers.length / 2;
    return Buffer.concat([signed, u32(0x1002), u32(0x0002), u32(0), half(0, size), half(size, 2 * size)]);
  }

  #keys(): Channel {
    if (this.#channel === undefined) throw new FirmwareError('channel', 'INVALID_GUEST_STATE');
    return this.#channel;
  }

  #require(command: string, holds: boolean, status: StatusName): void {
    if (!holds) throw new FirmwareError(command, status);
  }
}
