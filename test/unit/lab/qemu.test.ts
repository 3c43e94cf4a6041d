import { describe, expect, it } from 'vitest';
import { type Machine, qemuArguments } from '../../../src/lab/qemu.ts';
import { failure, HINT } from '../../failure.ts';

const machine: Machine = {
  boot: { kernel: 'K', initrd: 'I', cmdline: 'quiet' },
  memory: 256,
  disks: [{ file: 'a.img', serial: 'root' }],
  loaded: [{ file: 'table', address: 0x810000 }],
  serial: ['console', 'report'],
};

describe('qemuArguments', () => {
  const text = (changed: Partial<Machine> = {}) => qemuArguments({ ...machine, ...changed }).join(' ');

  it('emulates, with nothing but what is asked for', () => {
    expect(text()).toMatch(/^-accel tcg -machine q35 .*-nodefaults -no-user-config /);
    expect(text()).toContain('-serial file:console -serial file:report');
    expect(text()).toContain('-kernel K -initrd I -append quiet');
    expect(text()).toContain('-drive file=a.img,format=raw,if=none,id=disk0');
    expect(text()).toContain('-device virtio-blk-pci,drive=disk0,serial=root');
    expect(text()).toContain('-device loader,file=table,addr=8454144,force-raw=on');
  });

  it('gives a firmware its blobs as named files, as they are', () => {
    const boot = { firmware: 'F', kernel: 'K', initrd: 'I', cmdlineFile: 'C' };
    expect(text({ boot })).toContain('-bios F -fw_cfg name=etc/boot/kernel,file=K');
    expect(text({ boot })).toContain('name=etc/boot/initrd,file=I -fw_cfg name=etc/boot/cmdline,file=C');
    expect(text({ boot })).not.toContain('-kernel');
  });

  it('refuses a name that would be read as another option', () => {
    const file = 'a.img,readonly=on';
    for (const changed of [
      { disks: [{ file, serial: 'root' }] },
      { disks: [{ file: 'a.img', serial: 'x,drive=y' }] },
      { loaded: [{ file, address: 0 }] },
      { serial: [file] },
    ]) {
      expect(failure(() => text(changed))).toMatchObject({ kind: 'usage', hint: HINT });
    }
  });
});
