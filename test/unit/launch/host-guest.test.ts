import { describe, expect, it } from 'vitest';
import { parseDescription } from '../../../src/core/launch/description.ts';
import { domainXml } from '../../../src/core/launch/domain-xml.ts';
import { type HostGuest, hostNames } from '../../../src/core/launch/host-guest.ts';
import { qemuLaunchArguments } from '../../../src/core/launch/qemu-arguments.ts';
import { failure, HINT } from '../../failure.ts';

const FILES = {
  firmware: '/a/fw',
  kernel: '/a/k',
  initrd: undefined,
  disk: undefined,
  godh: '/l/godh',
  session: '/l/session',
  qmp: '/l/qmp.sock',
};

function guest(over: object = {}, host: Partial<HostGuest> = {}, files: object = {}): HostGuest {
  const description = parseDescription({ platform: 'sev', policy: 'nodbg', firmware: 'f', kernel: 'k', ...over });
  return {
    description,
    files: { ...FILES, ...files },
    cmdline: 'quiet',
    godh: 'R09ESA==',
    session: 'U0VTUw==',
    ...host,
  };
}
const ES = { platform: 'sev-es', policy: 'nodbg,noks,es', cpu: 'EPYC-v4', vcpus: '2' };

describe('qemuLaunchArguments', () => {
  it('starts plain SEV paused, with the session and kernel hashes', () => {
    expect(qemuLaunchArguments(guest())).toEqual([
      ...['-name', 'guest', '-accel', 'kvm', '-machine', 'q35,confidential-guest-support=sev0', '-object'],
      'sev-guest,id=sev0,policy=0x1,cbitpos=51,reduced-phys-bits=1,dh-cert-file=/l/godh,session-file=/l/session,kernel-hashes=on',
      ...['-cpu', 'host', '-smp', '1', '-m', '1024M', '-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-no-reboot', '-S', '-bios', '/a/fw', '-kernel', '/a/k', '-append', 'quiet'],
      ...['-serial', 'stdio', '-qmp', 'unix:/l/qmp.sock,server=on,wait=off'],
    ]);
  });

  it('tells what is there and leaves out what is not', () => {
    const args = qemuLaunchArguments(
      guest(
        {
          ...ES,
          disk: { image: 'd', format: 'qcow2' },
          name: 'web',
          memory: '3G',
          cbitpos: '47',
          'reduced-phys-bits': '5',
        },
        { cmdline: '' },
        { initrd: '/a/i', disk: '/a/d,1', godh: '/l,/godh' },
      ),
    );
    expect(args).not.toContain('-append');
    expect(args.join(' ')).toContain('-initrd /a/i');
    expect(args).toContain('file=/a/d,,1,format=qcow2,if=none,id=disk0');
    expect(args).toContain('virtio-blk-pci,drive=disk0,disable-legacy=on,iommu_platform=on');
    expect(args).toContain(
      'sev-guest,id=sev0,policy=0x7,cbitpos=47,reduced-phys-bits=5,dh-cert-file=/l,,/godh,session-file=/l/session,kernel-hashes=on,legacy-vm-type=off',
    );
    expect(args.join(' ')).toContain('-cpu EPYC-v4 -smp 2 -m 3072M');
  });

  it.each([
    [{ ...ES, profile: 'qemu' }, 'q35', true],
    [{ ...ES, profile: 'qemu-legacy' }, 'pc-q35-7.2', false],
    [{ profile: 'qemu' }, 'q35', false],
    [{ profile: 'qemu-legacy' }, 'q35', false],
  ])('starts %j as its profile describes', (over, machine, property) => {
    const args = qemuLaunchArguments(guest(over));
    expect(args).toContain(`${machine},confidential-guest-support=sev0`);
    expect(args.some((arg) => arg.includes('legacy-vm-type=off'))).toBe(property);
  });
});

describe('domainXml', () => {
  it('says the same', () => {
    expect(domainXml(guest())).toBe(`<domain type='kvm'>
  <name>guest</name>
  <memory unit='MiB'>1024</memory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader type='rom' stateless='yes'>/a/fw</loader>
    <kernel>/a/k</kernel>
    <cmdline>quiet</cmdline>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='host-passthrough'/>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <serial type='pty'/>
    <console type='pty'>
      <target type='serial'/>
    </console>
    <memballoon model='none'/>
  </devices>
  <launchSecurity type='sev' kernelHashes='yes'>
    <cbitpos>51</cbitpos>
    <reducedPhysBits>1</reducedPhysBits>
    <policy>0x1</policy>
    <dhCert>R09ESA==</dhCert>
    <session>U0VTUw==</session>
  </launchSecurity>
</domain>
`);
  });

  it('tells what is there, with what XML needs escaped', () => {
    const xml = domainXml(
      guest({ ...ES, disk: { image: 'd' } }, { cmdline: `a="<b>" & 'c'` }, { initrd: '/a/i', disk: "/a/d'" }),
    );
    expect(xml).toContain('<cmdline>a=&quot;&lt;b&gt;&quot; &amp; &apos;c&apos;</cmdline>');
    expect(xml).toContain("<driver name='qemu' type='raw' iommu='on'/>\n      <source file='/a/d&apos;'/>");
    expect(xml).toContain('    <initrd>/a/i</initrd>');
    expect(xml).toContain("machine='pc-q35-9.1'");
    expect(domainXml(guest({}, { cmdline: '' }))).not.toContain('cmdline');
    expect(domainXml(guest({ ...ES, profile: 'qemu-legacy' }))).toContain("machine='pc-q35-7.2'");
  });

  it.each([
    ['EPYC-v4', 'EPYC'],
    ['EPYC-Milan', 'EPYC-Milan'],
    ['EPYC-Genoa-v1', 'EPYC-Genoa'],
    ['Haswell-v2', 'Haswell-v2'],
    ['Haswell-v3', 'Haswell'],
  ])('calls the CPU %s %s', (cpu, model) => {
    expect(domainXml(guest({ ...ES, cpu }))).toContain(`<model fallback='forbid'>${model}</model>`);
  });
});

describe('hostNames', () => {
  it('moves all files into one folder', () => {
    expect(hostNames({ a: '/x/one', b: undefined, c: '/x/one', d: '/y/two' }, '/srv/')).toEqual({
      a: '/srv/one',
      b: undefined,
      c: '/srv/one',
      d: '/srv/two',
    });
    expect(hostNames({ a: '/x/one', b: undefined }, undefined)).toEqual({ a: '/x/one', b: undefined });
  });

  it('refuses two files of one name', () => {
    expect(failure(() => hostNames({ a: '/x/one', b: '/y/one' }, '/srv'))).toMatchObject({ kind: 'usage', hint: HINT });
  });
});
