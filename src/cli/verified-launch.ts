/** @module What commands say about a verified launch and the record that it was verified against. */
import { isLegacy, printApi } from '../core/measurement/api-version.ts';
import type { VerifiedLaunch } from '../core/measurement/verify-launch.ts';
import { allowsDebugging, policyRisks } from '../core/session/policy.ts';
import { type LaunchRecord, printProfile } from '../core/session/record.ts';
import { classAdvice, className } from './firmware-class.ts';
import { type Io, remark } from './io.ts';
import { NOT_ENCRYPTED } from './lab-remark.ts';

/** Returns the launch as lines for people. */
export function printLaunch({ expected, api }: VerifiedLaunch): string[] {
  const { digest, vcpus, cpu, vmsaFeatures } = expected;
  const profile = printProfile(expected);
  const parts = [
    profile === undefined ? [] : [`profile ${profile}`],
    vcpus === undefined ? [] : [vcpus === 1 ? '1 vCPU' : `${vcpus} vCPUs`],
    cpu === undefined ? [] : [`CPU ${cpu}`],
    vmsaFeatures === undefined ? [] : [`VMSA features ${vmsaFeatures}`],
  ].flat();
  return [
    'measurement    matches',
    `launch digest  ${digest}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`,
    `API            ${api === undefined ? 'older than 0.17' : printApi(api)}`,
  ];
}

/** Returns the launch for `--json`: the record's own description of the digest, and the API version or null when it is older than 0.17. */
export function launchJson({ expected, api }: VerifiedLaunch): object {
  return { ...expected, api: api ?? null };
}

/** Platforms before 0.17 authenticate a packet without the measurement (AMDESE/sev-tool src/commands.cpp). */
export const UNBOUND =
  'a packet is not bound to the measurement, and opens in whatever guest the host starts with this session';

/** Warns of what the policy lets the host do with the guest. */
export function remarkPolicy(io: Io, policy: number): void {
  if (allowsDebugging(policy)) {
    remark(
      io,
      'warning',
      "the policy lets the host read and change the guest's memory (no flag nodbg): no secret is safe in it",
    );
  }
  for (const risk of policyRisks(policy)) remark(io, 'warning', `the policy is weak: ${risk}`);
}

/** Warns of what a matching measurement does not make good. */
export function remarkRecord(io: Io, record: LaunchRecord, { api }: Pick<VerifiedLaunch, 'api'>): void {
  remarkPolicy(io, record.policy);
  if (api === undefined || isLegacy(api)) remark(io, 'warning', `the platform's API is older than 0.17: ${UNBOUND}`);
  if (!record.kernelHashes) {
    remark(io, 'warning', 'the record covers the firmware only: what it boots was up to the host');
  }
  if (record.platformKey.root === 'lab') {
    remark(io, 'warning', NOT_ENCRYPTED);
  } else if (!record.platformKey.verified) {
    remark(io, 'warning', "the record's platform key was never verified: a program may have made this measurement");
  }
  const { lint } = record.firmware;
  if (lint !== 'enforcing')
    remark(io, 'warning', `the firmware is of the class "${className(lint)}": ${classAdvice(lint)}`);
}
