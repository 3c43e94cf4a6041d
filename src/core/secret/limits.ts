/** @module How large a launch secret may be. */
import { BootsealError } from '../errors.ts';
import type { Area } from '../firmware/firmware.ts';

/** LAUNCH_SECRET takes whole cipher blocks; bytes. */
export const BLOCK = 16;

/** The most that KVM hands to the platform at once: SEV_FW_BLOB_MAX_SIZE (linux drivers/crypto/ccp/sev-dev.c); bytes. */
export const MAX_PAYLOAD = 0x4000;

const PAGE = 4096;

/**
 * Returns how many bytes a table in the firmware's secret area may have: whole blocks, and none beyond the page that the area
 * begins in, since KVM wants the guest pages to lie together in the host's memory (linux arch/x86/kvm/svm/sev.c). The area comes
 * from the owner's record, never from the host.
 *
 * @throws `usage` when there is no area, `format` when its place is impossible
 */
export function secretRoom(area: Area | null): number {
  if (area === null) {
    throw new BootsealError('usage', 'the firmware has no secret area: there is nowhere to inject a secret', {
      hint: 'use a firmware build that has one, such as OVMF of the AmdSev kind, and make a new record',
    });
  }
  const { base, size } = area;
  if (base % BLOCK !== 0)
    throw new BootsealError('format', `secret area: base 0x${base.toString(16)} is not a multiple of 16`, {
      hint: 'take another OVMF build: the platform takes no packet for this one',
    });
  const room = Math.min(size, PAGE - (base % PAGE));
  if (room < BLOCK)
    throw new BootsealError('format', `secret area: ${size} bytes at 0x${base.toString(16)} hold no table`, {
      hint: 'take another OVMF build: this one has no room for secrets',
    });
  return room - (room % BLOCK);
}

/** Throws `format` when no platform takes a payload of `size` bytes. */
export function checkPayloadSize(size: number): void {
  if (size === 0 || size % BLOCK !== 0 || size > MAX_PAYLOAD) {
    throw new BootsealError(
      'format',
      `packet: ${size} bytes of payload, where a multiple of 16 up to ${MAX_PAYLOAD} is needed`,
      { hint: 'give the packet whole, as secret build wrote it' },
    );
  }
}
