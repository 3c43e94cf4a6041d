/** @module The SNP guest policy (AMD SEV-SNP firmware ABI 56860, section 4.3): what the host may do to the guest, in 64 bits. */
import { BootsealError } from '../errors.ts';

/** Flag names and their bits. */
export const SNP_POLICY_FLAGS = {
  smt: 1n << 16n,
  'migrate-ma': 1n << 18n,
  debug: 1n << 19n,
  'single-socket': 1n << 20n,
  cxl: 1n << 21n,
  'aes-256-xts': 1n << 22n,
  'rapl-dis': 1n << 23n,
  'ciphertext-hiding': 1n << 24n,
  'page-swap-disable': 1n << 25n,
} as const;

type Flag = keyof typeof SNP_POLICY_FLAGS;

/** Reserved, and one in every policy. */
const MUST_BE_ONE = 1n << 17n;
const MUST_BE_ZERO = ~0n << 26n;

const NAMES = Object.keys(SNP_POLICY_FLAGS) as Flag[];

/**
 * Reads a policy: flag names joined by commas (`smt,rapl-dis`, or `none`), hexadecimal (`0x30000`) or decimal, 64 bits with the minimum
 * ABI version in bits 0-15. Throws `usage` for anything else, reserved bits included.
 */
export function parseSnpPolicy(text: string): bigint {
  const isNumber = /^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(text);
  const policy = isNumber ? BigInt(text) : flags(text);
  const problem = snpPolicyProblem(policy);
  if (problem === undefined) return policy;
  throw new BootsealError('usage', `policy ${text.slice(0, 64)}: ${problem}`, {
    hint: 'name the flags instead, such as smt; QEMU takes 0x30000 unless told otherwise, which is smt',
  });
}

/** Says why no platform takes this policy; undefined when nothing is wrong with it. */
export function snpPolicyProblem(policy: bigint): string | undefined {
  if (policy < 0n || (policy & MUST_BE_ZERO) !== 0n) return 'bits 26-63 must be zero';
  return (policy & MUST_BE_ONE) === 0n ? 'bit 17 must be one' : undefined;
}

function flags(text: string): bigint {
  let policy = MUST_BE_ONE;
  for (const name of text === 'none' ? [] : text.toLowerCase().split(',')) {
    if (!Object.hasOwn(SNP_POLICY_FLAGS, name)) {
      throw new BootsealError('usage', `unknown SNP policy flag ${JSON.stringify(name.slice(0, 64))}`, {
        hint: `use a number, none, or flags out of: ${NAMES.join(', ')}`,
      });
    }
    policy |= SNP_POLICY_FLAGS[name as Flag];
  }
  return policy;
}

/** Returns the policy as flag names, with the minimum ABI version where one is set: `smt min-abi=1.55`. */
export function describeSnpPolicy(policy: bigint): string {
  const names = NAMES.filter((name) => (policy & SNP_POLICY_FLAGS[name]) !== 0n);
  const [major, minor] = [(policy >> 8n) & 0xffn, policy & 0xffn];
  const abi = major === 0n && minor === 0n ? '' : ` min-abi=${major}.${minor}`;
  return `${names.length === 0 ? 'none' : names.join(',')}${abi}`;
}

/** Returns what the policy lets the host do that an owner may not want, a sentence each. */
export function snpPolicyRisks(policy: bigint): readonly string[] {
  const has = (name: Flag) => (policy & SNP_POLICY_FLAGS[name]) !== 0n;
  return [
    ...(has('debug') ? ["the host may read and change the guest's memory (flag debug)"] : []),
    ...(has('migrate-ma')
      ? ['the host may give the guest a migration agent, which can move it (flag migrate-ma)']
      : []),
  ];
}
