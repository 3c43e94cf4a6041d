/** @module The SEV guest policy (AMD SEV API 55766, chapter 2): what the host may do to the guest. */
import { BootsealError } from '../errors.ts';

/** Flag names and their bits. */
export const POLICY_FLAGS = {
  nodbg: 1 << 0,
  noks: 1 << 1,
  es: 1 << 2,
  nosend: 1 << 3,
  domain: 1 << 4,
  sev: 1 << 5,
} as const;

const KNOWN = Object.keys(POLICY_FLAGS).join(', ');

/**
 * Reads a policy: flag names joined by commas (`nodbg,noks,es`), hexadecimal (`0x5`) or decimal (`5`), 32 bits with the
 * minimum API version in bits 16-31. Throws `usage` for anything else, reserved bits included.
 */
export function parsePolicy(text: string): number {
  const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : flags(text);
  if (value > 0xffffffff) {
    throw new BootsealError('usage', `policy ${text.slice(0, 64)} does not fit in 32 bits`, {
      hint: 'name the flags instead, such as nodbg,noks,es',
    });
  }
  checkReservedBits(value, text);
  return value;
}

/** Throws `usage` when the policy, which the owner wrote as `text`, sets a bit that must be zero. */
export function checkReservedBits(policy: number, text: string): void {
  if ((policy & 0xffc0) === 0) return;
  throw new BootsealError('usage', `policy ${text} sets reserved bits`, {
    hint: 'bits 6-15 must be zero; bits 16-23 are the minimum API major and bits 24-31 the minor version',
  });
}

function flags(text: string): number {
  let value = 0;
  for (const name of text.toLowerCase().split(',')) {
    if (!Object.hasOwn(POLICY_FLAGS, name)) {
      throw new BootsealError('usage', `unknown policy flag ${JSON.stringify(name.slice(0, 64))}`, {
        hint: `use a number or flags out of: ${KNOWN}`,
      });
    }
    value |= POLICY_FLAGS[name as keyof typeof POLICY_FLAGS];
  }
  return value;
}

/**
 * Returns the policy as flag names, with the minimum API version where one is set: `nodbg,noks min-api=0.17`; one without
 * `nodbg` says what that means.
 */
export function describePolicy(policy: number): string {
  const names = Object.entries(POLICY_FLAGS).flatMap(([name, bit]) => ((policy & bit) !== 0 ? [name] : []));
  const api = minimumApi(policy);
  const flagText = names.length === 0 ? 'none' : names.join(',');
  const apiText = api.major === 0 && api.minor === 0 ? '' : ` min-api=${api.major}.${api.minor}`;
  return `${flagText}${apiText}${allowsDebugging(policy) ? ': the host may debug the guest' : ''}`;
}

/** Returns the API version below which the platform must refuse the launch: bits 16-23 major, 24-31 minor. */
export function minimumApi(policy: number): { readonly major: number; readonly minor: number } {
  return { major: (policy >>> 16) & 0xff, minor: policy >>> 24 };
}

/**
 * Holds a policy against the platform: SEV-ES needs the flag `es`, plain SEV must not have it, or the guest that starts is
 * another than the one that was measured. Throws `usage`.
 */
export function checkPolicyPlatform(policy: number, platform: 'sev' | 'sev-es'): void {
  const es = (policy & POLICY_FLAGS.es) !== 0;
  if (es === (platform === 'sev-es')) return;
  throw new BootsealError(
    'usage',
    `policy 0x${policy.toString(16)} is for ${es ? 'sev-es' : 'sev'}, not for ${platform}`,
    {
      hint: es ? 'leave out the flag es, or choose the platform sev-es' : 'add the flag es, or choose the platform sev',
    },
  );
}

/** Says whether the host may decrypt the guest's memory as it likes (no flag `nodbg`). */
export function allowsDebugging(policy: number): boolean {
  return (policy & POLICY_FLAGS.nodbg) === 0;
}

/** Returns what else the policy lets the host do that an owner may not want, a sentence each. */
export function policyRisks(policy: number): string[] {
  const risks: string[] = [];
  if ((policy & POLICY_FLAGS.noks) === 0)
    risks.push("other guests of the host may share this one's memory key (no flag noks)");
  if ((policy & POLICY_FLAGS.nosend) === 0) {
    risks.push('the host may move the running guest to another AMD machine (no flag nosend)');
  }
  return risks;
}
