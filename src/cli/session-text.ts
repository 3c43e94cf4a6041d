/** @module What `session create` says: the files, what they stand for, and what to do with them. */
import * as path from 'node:path';
import { printApi } from '../core/measurement/api-version.ts';
import { describePolicy } from '../core/session/policy.ts';
import { type LaunchRecord, printConfiguration } from '../core/session/record.ts';
import { printableLines } from './io.ts';

const FILES = ['record.json', 'tk', 'godh', 'session'] as const;

/** Returns the `--json` object and a newline. */
export function sessionJson(folder: string, record: LaunchRecord): string {
  const [file, tk, godh, session] = FILES.map((name) => path.join(folder, name));
  const { platform, policy, minimumApi, expected, firmware, kernelHashes } = record;
  const { verified, root } = record.platformKey;
  return `${JSON.stringify(
    { record: file, tk, godh, session, platform, verified, root, policy, minimumApi, firmware, kernelHashes, expected },
    null,
    2,
  )}\n`;
}

/** Returns the text for people. */
export function sessionText(folder: string, record: LaunchRecord): string {
  const lines = [...made(folder, record), '', ...hostLines(record), '', ...nextLines(folder)];
  return printableLines(lines);
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
    `platform  ${platform}, ${verified ? `verified up to AMD's ${root} root` : root === 'lab' ? 'of a lab: memory is NOT encrypted' : 'NOT verified'}`,
    `policy    0x${policy.toString(16)} (${describePolicy(policy)}), API ${printApi(minimumApi)} or newer`,
    `firmware  ${firmware.lint}, SHA-256 ${firmware.sha256}`,
    ...record.expected.map((entry) => `digest    ${entry.digest}  ${printConfiguration(entry)}`.trimEnd()),
  ];
}

/** How QEMU is told which way of starting SEV-ES guests a profile describes (docs/profiles.md); plain SEV measures none of it. */
const VM_TYPE: Readonly<Record<string, { readonly property: string; readonly notes: readonly string[] }>> = {
  qemu: {
    property: ',legacy-vm-type=off',
    notes: ['  (libvirt has no word for legacy-vm-type: give the guest one of the machine types from 9.1 on)'],
  },
  'qemu-legacy': {
    property: ',legacy-vm-type=on',
    notes: [
      '  (QEMU before 9.1 takes no legacy-vm-type and knows this way only: leave it out there.',
      "  libvirt has no word for it: with newer QEMU give the guest machine='pc-q35-9.0' or older)",
    ],
  },
};

function hostLines({ policy, expected, kernelHashes }: LaunchRecord): string[] {
  const hex = `0x${policy.toString(16)}`;
  // All digests of a record have one profile: --profile takes one name.
  const profile = expected[0]?.profile;
  const vmType = profile === undefined ? { property: '', notes: [] } : VM_TYPE[profile];
  if (vmType === undefined) {
    return [
      `For the host, whose VMM must behave as profile ${profile} describes: policy ${hex}, and the files godh and session.`,
    ];
  }
  const [qemu, libvirt] = kernelHashes ? [',kernel-hashes=on', " kernelHashes='yes'"] : ['', ''];
  return [
    'For the host, with QEMU (C and R as query-sev-capabilities says; -S starts the guest paused):',
    '  -S -machine q35,confidential-guest-support=sev0 \\',
    `  -object sev-guest,id=sev0,policy=${hex},cbitpos=C,reduced-phys-bits=R${vmType.property}${qemu},dh-cert-file=godh,session-file=session`,
    'or with libvirt (virsh create --paused):',
    `  <launchSecurity type='sev'${libvirt}>`,
    `    <policy>${hex}</policy>`,
    '    <dhCert>the text in godh</dhCert>',
    '    <session>the text in session</session>',
    '  </launchSecurity>',
    ...vmType.notes,
  ];
}

function nextLines(folder: string): string[] {
  const record = path.join(folder, 'record.json');
  return [
    'Then ask the host for the launch measurement and check it before anything secret leaves you:',
    `  bootseal verify launch --record ${record} --measurement MEASUREMENT`,
  ];
}
