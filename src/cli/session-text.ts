/** @module What `session create` says: the files, what they stand for, and what to do with them. */
import * as path from 'node:path';
import { printApi } from '../core/measurement/api-version.ts';
import { describePolicy } from '../core/session/policy.ts';
import type { ExpectedDigest, LaunchRecord } from '../core/session/record.ts';

const FILES = ['record.json', 'tk', 'godh', 'session'] as const;

/** Returns the `--json` object and a newline. */
export function sessionJson(folder: string, record: LaunchRecord): string {
  const [file, tk, godh, session] = FILES.map((name) => path.join(folder, name));
  const { platform, policy, minimumApi, expected, firmware } = record;
  const { verified, root } = record.platformKey;
  return `${JSON.stringify(
    { record: file, tk, godh, session, platform, verified, root, policy, minimumApi, firmware, expected },
    null,
    2,
  )}\n`;
}

/** Returns the text for people; `kernelHashes` tells whether the expected digests cover a kernel. */
export function sessionText(folder: string, record: LaunchRecord, kernelHashes: boolean): string {
  const lines = [...made(folder, record), '', ...hostLines(record, kernelHashes), '', ...nextLines(folder)];
  return `${lines.join('\n')}\n`;
}

function made(folder: string, record: LaunchRecord): string[] {
  const [file = '', tk = '', godh = '', session = ''] = FILES.map((name) => path.join(folder, name));
  const { policy, minimumApi, firmware, platform } = record;
  const { verified, root } = record.platformKey;
  return [
    `record    ${file}  (keep it: verify launch and secret build go by it)`,
    `tk        ${tk}  (keep it secret: with it one can read the secrets of this launch)`,
    `godh      ${godh}  (for the host)`,
    `session   ${session}  (for the host)`,
    `platform  ${platform}, ${verified ? `verified up to AMD's ${root} root` : 'NOT verified'}`,
    `policy    0x${policy.toString(16)} (${describePolicy(policy)}), API ${printApi(minimumApi)} or newer`,
    `firmware  ${firmware.lint}, SHA-256 ${firmware.sha256}`,
    ...record.expected.map((entry) => `digest    ${entry.digest}${configuration(entry)}`),
  ];
}

function configuration({ profile, vcpus, cpu, vmsaFeatures }: ExpectedDigest): string {
  const parts = Object.entries({ profile, vcpus, cpu, features: vmsaFeatures }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  return parts.length === 0 ? '' : `  ${parts.join(' ')}`;
}

function hostLines({ policy, platform, expected }: LaunchRecord, kernelHashes: boolean): string[] {
  const hex = `0x${policy.toString(16)}`;
  // The profile qemu is that of KVM_SEV_INIT2, which newer QEMUs else choose by what KVM offers (docs/profiles.md).
  const init2 = platform === 'sev-es' && expected.every(({ profile }) => profile === 'qemu');
  const [qemu, libvirt] = kernelHashes ? [',kernel-hashes=on', " kernelHashes='yes'"] : ['', ''];
  return [
    'For the host, with QEMU (C and R as query-sev-capabilities says; -S starts the guest paused):',
    '  -S -machine q35,confidential-guest-support=sev0 \\',
    `  -object sev-guest,id=sev0,policy=${hex},cbitpos=C,reduced-phys-bits=R${init2 ? ',legacy-vm-type=off' : ''}${qemu},dh-cert-file=godh,session-file=session`,
    'or with libvirt (virsh create --paused):',
    `  <launchSecurity type='sev'${libvirt}>`,
    `    <policy>${hex}</policy>`,
    '    <dhCert>the text in godh</dhCert>',
    '    <session>the text in session</session>',
    '  </launchSecurity>',
  ];
}

function nextLines(folder: string): string[] {
  const record = path.join(folder, 'record.json');
  return [
    'Then ask the host for the launch measurement and check it before anything secret leaves you:',
    `  bootseal verify launch --record ${record} --measurement MEASUREMENT`,
  ];
}
