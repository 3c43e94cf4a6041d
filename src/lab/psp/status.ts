/**
 * @module The status codes of AMD's SEV firmware (AMD SEV API 55766, chapter 5; Linux include/uapi/linux/psp-sev.h) and the words
 * that QEMU has for them (qemu/qemu target/i386/sev.c, sev_fw_errlist).
 */

/** Names as the specification has them, in the order of their codes, with QEMU's words. */
const STATUS = [
  ['SUCCESS', ''],
  ['INVALID_PLATFORM_STATE', 'Platform state is invalid'],
  ['INVALID_GUEST_STATE', 'Guest state is invalid'],
  ['INVALID_CONFIG', 'Platform configuration is invalid'],
  ['INVALID_LENGTH', 'Buffer too small'],
  ['ALREADY_OWNED', 'Platform is already owned'],
  ['INVALID_CERTIFICATE', 'Certificate is invalid'],
  ['POLICY_FAILURE', 'Policy is not allowed'],
  ['INACTIVE', 'Guest is not active'],
  ['INVALID_ADDRESS', 'Invalid address'],
  ['BAD_SIGNATURE', 'Bad signature'],
  ['BAD_MEASUREMENT', 'Bad measurement'],
  ['ASID_OWNED', 'ASID is already owned'],
  ['INVALID_ASID', 'Invalid ASID'],
  ['WBINVD_REQUIRED', 'WBINVD is required'],
  ['DFFLUSH_REQUIRED', 'DF_FLUSH is required'],
  ['INVALID_GUEST', 'Guest handle is invalid'],
  ['INVALID_COMMAND', 'Invalid command'],
  ['ACTIVE', 'Guest is active'],
  ['HWERROR_PLATFORM', 'Hardware error'],
  ['HWERROR_UNSAFE', 'Hardware unsafe'],
  ['UNSUPPORTED', 'Feature not supported'],
  ['INVALID_PARAM', 'Invalid parameter'],
] as const;

/** The name of a status. */
export type StatusName = (typeof STATUS)[number][0];

/** What the firmware answers instead of success. */
export class FirmwareError extends Error {
  readonly status: StatusName;
  /** The number, as `fw_error` in QEMU's messages. */
  readonly code: number;
  /** QEMU's words for it. */
  readonly words: string;

  constructor(command: string, status: StatusName) {
    super(`${command}: ${status}`);
    this.name = 'FirmwareError';
    this.status = status;
    this.code = STATUS.findIndex(([name]) => name === status);
    this.words = STATUS[this.code]?.[1] ?? '';
  }
}
