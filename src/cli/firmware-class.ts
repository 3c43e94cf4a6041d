/** @module The firmware class in a record: one of `firmware lint`, or `unreadable` where the owner accepted what could not be judged. */
import { BootsealError } from '../core/errors.ts';
import { ADVICE, FIRMWARE_CLASSES, type FirmwareClass } from '../core/firmware/lint.ts';

/** What there is to say of an image that lint cannot read. */
export const UNREADABLE_ADVICE = 'nothing is known about what this image checks, so it may check nothing';

/** Returns a recorded class as it is called. */
export function className(recorded: string): string {
  return isClass(recorded) ? FIRMWARE_CLASSES[recorded] : recorded;
}

/** Returns what the owner should do about firmware of a recorded class. */
export function classAdvice(recorded: string): string {
  return isClass(recorded) ? ADVICE[recorded] : UNREADABLE_ADVICE;
}

/** Throws `usage` when `--accept-firmware` names no class. */
export function checkAccepted(accepted: string | undefined): void {
  if (accepted === undefined || accepted === 'unreadable' || isClass(accepted)) return;
  throw new BootsealError('usage', `--accept-firmware ${JSON.stringify(accepted.slice(0, 64))} is no class`, {
    hint: `classes are: ${Object.keys(FIRMWARE_CLASSES).join(', ')}, unreadable`,
  });
}

const isClass = (text: string): text is FirmwareClass => Object.hasOwn(FIRMWARE_CLASSES, text);
