/** @module What to do about a header that breaks a rule: whoever could write to the disk may have made it so. */

/** Never a check that is left out. */
export const OWN_COPY = {
  hint: 'the header was damaged or changed: restore it from a copy that you made yourself, or build the image again',
} as const;
