/**
 * @module The SNP ID block (AMD SEV-SNP firmware ABI 56860, SNP_LAUNCH_FINISH, "ID Block"): the launch digest and policy that the platform must find
 * before it lets a guest run. The owner signs it; see id-auth.ts.
 */
import { bytes, layout, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { snpPolicyProblem } from './snp-policy.ts';

const IdBlock = layout('ID block', {
  launchDigest: bytes(48),
  familyId: bytes(16),
  imageId: bytes(16),
  version: u32le,
  guestSvn: u32le,
  policy: u64le,
});

const VERSION = 1;

/** Bytes of an ID block. */
export const ID_BLOCK_SIZE = IdBlock.size;

/** What an ID block says. */
export interface IdBlockFields {
  /** 48 bytes, the SNP launch digest. */
  readonly launchDigest: Uint8Array;
  /** 16 bytes of the owner's choice; the platform copies them into reports. */
  readonly familyId: Uint8Array;
  /** As `familyId`. */
  readonly imageId: Uint8Array;
  /** Security version of the guest, 32 bits. */
  readonly guestSvn: number;
  /** 64 bits; the platform refuses a launch with another one. */
  readonly policy: bigint;
}

/** Returns the 96 bytes; throws `format` for fields of another size, `usage` for a policy that no platform takes. */
export function encodeIdBlock(fields: IdBlockFields): Uint8Array {
  const problem = snpPolicyProblem(fields.policy);
  if (problem !== undefined)
    throw new BootsealError('usage', `ID block: its policy: ${problem}`, { hint: POLICY_HINT });
  return IdBlock.pack({ ...fields, version: VERSION });
}

const POLICY_HINT = 'take the policy of the launch, such as 0x30000';

/** Reads an ID block; throws `format` for anything that no platform takes. */
export function parseIdBlock(source: Uint8Array): IdBlockFields {
  if (source.length !== ID_BLOCK_SIZE) throw refusal(`has ${ID_BLOCK_SIZE} bytes, not ${source.length}`);
  const { version, ...fields } = IdBlock.unpack(source);
  if (version !== VERSION) throw refusal(`version ${version} is not known`);
  const problem = snpPolicyProblem(fields.policy);
  if (problem !== undefined) throw refusal(`its policy: ${problem}`);
  return fields;
}

const refusal = (reason: string): BootsealError =>
  new BootsealError('format', `ID block: ${reason}`, { hint: 'make it again, with id-block create' });
