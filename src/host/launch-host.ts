/** @module The host of a launch as its owner meets it: something that starts guests, and can be asked and told a few things. */
import { BootsealError } from '../core/errors.ts';
import type { ApiVersion } from '../core/measurement/api-version.ts';
import type { PacketTexts } from '../core/secret/packet-forms.ts';
import { ioError, OTHER_TMPDIR } from './io-error.ts';

/** Where a guest stands: it waits for its secret, it runs, or neither of both (told in the host's word). */
export type GuestStanding = 'waiting' | 'running' | { readonly other: string };

/** A packet in base64, and the guest physical address that it is for. */
export interface InjectedPacket extends PacketTexts {
  readonly gpa: number;
}

/** What to know when the platform refuses a packet. */
export const OTHER_LAUNCH = 'the packet is for another launch than the one on this machine';

/** Temporary files have no place on the owner's machine: the host was not asked for anything. */
export class NoPlace extends BootsealError {
  constructor(cause: unknown, folder: string) {
    super('io', ioError(cause, folder, 'write').message, { hint: OTHER_TMPDIR, cause });
  }
}

/** What a host answers. Nothing of it is believed before the measurement is verified. */
export interface LaunchHost {
  /** For messages and the audit. */
  readonly name: string;
  standing(): Promise<GuestStanding>;
  /** Base64 text, as the host gives it. */
  measurement(): Promise<string>;
  /** What the host says the platform is; the measurement authenticates it. Undefined when it says nothing of use. */
  api(): Promise<ApiVersion | undefined>;
  /** Throws {@link NoPlace} when a packet could not be given to it from here. */
  ready(): Promise<void>;
  /** Throws `mismatch` when the platform says that the packet is not for this launch, `tool` for other refusals, `io` when nobody knows. */
  inject(packet: InjectedPacket): Promise<void>;
  resume(): Promise<void>;
  close(): void;
}
