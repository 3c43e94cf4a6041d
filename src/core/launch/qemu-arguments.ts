/** @module A prepared launch as QEMU's arguments, for real hardware (QEMU docs/system/i386/amd-memory-encryption.rst). */
import { type HostGuest, policyHex, vmType } from './host-guest.ts';

/** Returns the arguments, one a line in `qemu.args`; QEMU starts the guest paused (`-S`) and waits on its QMP socket. */
export function qemuLaunchArguments({ description, files, cmdline }: HostGuest): readonly string[] {
  const { name, policy, vcpus, cpu, memory, disk, cbitpos, reducedPhysBits } = description;
  const { machine, property } = vmType(description, 'qemu');
  const sev = [
    `sev-guest,id=sev0,policy=${policyHex(policy)},cbitpos=${cbitpos},reduced-phys-bits=${reducedPhysBits}`,
    `dh-cert-file=${doubled(files.godh)},session-file=${doubled(files.session)},kernel-hashes=on${property}`,
  ];
  return [
    ...['-name', name, '-accel', 'kvm', '-machine', `${machine},confidential-guest-support=sev0`],
    ...['-object', sev.join(',')],
    ...['-cpu', cpu ?? 'host', '-smp', `${vcpus}`, '-m', `${memory}M`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-S'],
    ...['-bios', files.firmware, '-kernel', files.kernel],
    ...(files.initrd === undefined ? [] : ['-initrd', files.initrd]),
    ...(cmdline === '' ? [] : ['-append', cmdline]),
    ...(files.disk === undefined
      ? []
      : [
          ...['-drive', `file=${doubled(files.disk)},format=${disk?.format},if=none,id=disk0`],
          // Encrypted guests share memory with devices only through bounce buffers, which these two say.
          ...['-device', 'virtio-blk-pci,drive=disk0,disable-legacy=on,iommu_platform=on'],
        ]),
    ...['-serial', 'stdio', '-qmp', `unix:${doubled(files.qmp)},server=on,wait=off`],
  ];
}

/** Inside a list of properties QEMU reads two commas as one. */
function doubled(value: string): string {
  return value.replaceAll(',', ',,');
}
