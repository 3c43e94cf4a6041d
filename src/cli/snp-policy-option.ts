/** @module The policy of an SNP guest as an option: one that gives the guest to the host needs a second one. */
import { parseSnpPolicy, SNP_POLICY_FLAGS } from '../core/attestation/snp-policy.ts';
import { BootsealError } from '../core/errors.ts';

/** What commander makes of `--insecure-allow-debug`. */
export interface AllowDebug {
  readonly insecureAllowDebug?: true;
}

/** Reads a policy; throws `usage` for one that allows debugging without that option, and `format` or `usage` as `parseSnpPolicy`. */
export function allowedSnpPolicy(text: string, { insecureAllowDebug }: AllowDebug): bigint {
  const policy = parseSnpPolicy(text);
  if ((policy & SNP_POLICY_FLAGS.debug) === 0n || insecureAllowDebug === true) return policy;
  throw new BootsealError('usage', `policy ${text} lets the host read and change the guest's memory`, {
    hint: 'leave the flag debug out, or say --insecure-allow-debug for an experiment without secrets',
  });
}
