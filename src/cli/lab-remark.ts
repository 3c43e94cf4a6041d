/** @module What every line about a launch in a lab must say. */

/** A whole sentence, for warnings. */
export const NOT_ENCRYPTED =
  "a lab is no secure processor: the guest's memory is NOT encrypted, and whoever runs the lab reads its secrets";
