/** @module A prepared launch as a libvirt domain (libvirt docs/formatdomain.rst, kbase/launch_security_sev.rst). */
import { cpuModel, cpuModelNames, cpuSignature } from '../measurement/cpu-models.ts';
import { type HostGuest, policyHex, vmType } from './host-guest.ts';

/** Returns the text of `domain.xml`, for `virsh create --paused`. */
export function domainXml({ description, files, cmdline, godh, session }: HostGuest): string {
  const { name, policy, vcpus, memory, cbitpos, reducedPhysBits } = description;
  const lines = [
    "<domain type='kvm'>",
    `  <name>${text(name)}</name>`,
    `  <memory unit='MiB'>${memory}</memory>`,
    `  <vcpu placement='static'>${vcpus}</vcpu>`,
    '  <os>',
    `    <type arch='x86_64' machine='${vmType(description, 'libvirt').machine}'>hvm</type>`,
    `    <loader type='rom' stateless='yes'>${text(files.firmware)}</loader>`,
    `    <kernel>${text(files.kernel)}</kernel>`,
    ...(files.initrd === undefined ? [] : [`    <initrd>${text(files.initrd)}</initrd>`]),
    ...(cmdline === '' ? [] : [`    <cmdline>${text(cmdline)}</cmdline>`]),
    '  </os>',
    '  <features>',
    '    <acpi/>',
    '    <apic/>',
    '  </features>',
    ...cpuLines(description.cpu),
    // SEV guests cannot be started again with the same keys.
    '  <on_reboot>destroy</on_reboot>',
    '  <on_crash>destroy</on_crash>',
    '  <devices>',
    ...diskLines(files.disk, description.disk?.format),
    "    <serial type='pty'/>",
    "    <console type='pty'>",
    "      <target type='serial'/>",
    '    </console>',
    "    <memballoon model='none'/>",
    '  </devices>',
    "  <launchSecurity type='sev' kernelHashes='yes'>",
    `    <cbitpos>${cbitpos}</cbitpos>`,
    `    <reducedPhysBits>${reducedPhysBits}</reducedPhysBits>`,
    `    <policy>${policyHex(policy)}</policy>`,
    `    <dhCert>${text(godh)}</dhCert>`,
    `    <session>${text(session)}</session>`,
    '  </launchSecurity>',
    '</domain>',
  ];
  return `${lines.join('\n')}\n`;
}

function cpuLines(cpu: string | undefined): string[] {
  if (cpu === undefined) return ["  <cpu mode='host-passthrough'/>"];
  return [
    "  <cpu mode='custom' match='exact' check='none'>",
    `    <model fallback='forbid'>${text(libvirtModel(cpu))}</model>`,
    '  </cpu>',
  ];
}

/** Few versions of libvirt know QEMU's versions of a model (EPYC-v4). The model will do where it has the same signature, which is measured. */
function libvirtModel(cpu: string): string {
  const model = cpu.replace(/-v[0-9]+$/, '');
  if (!cpuModelNames().includes(model)) return cpu;
  return cpuSignature(cpuModel(model)) === cpuSignature(cpuModel(cpu)) ? model : cpu;
}

function diskLines(file: string | undefined, format: string | undefined): string[] {
  if (file === undefined) return [];
  return [
    "    <disk type='file' device='disk'>",
    `      <driver name='qemu' type='${format}' iommu='on'/>`,
    `      <source file='${text(file)}'/>`,
    "      <target dev='vda' bus='virtio'/>",
    '    </disk>',
  ];
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
};

function text(value: string): string {
  return value.replaceAll(/[&<>'"]/g, (letter) => ENTITIES[letter] ?? letter);
}
