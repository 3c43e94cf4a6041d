import { describe, expect, it } from 'vitest';
import { kataLines } from '../../../src/core/identify/kata-words.ts';

const text = (lines: readonly Uint8Array[]) => lines.map((line) => Buffer.from(line).toString());
const START =
  'tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.direct=1 i8042.dumbkbd=1 i8042.nopnp=1 i8042.noaux=1 noreplace-smp reboot=k';

describe('the lines of Kata Containers', () => {
  it('with an initrd are those of three ages, quiet or not', () => {
    const old = `${START} console=hvc0 console=hvc1 cryptomgr.notests net.ifnames=0 pci=lastbus=0`;
    const now = `${START} cryptomgr.notests net.ifnames=0 pci=lastbus=0 console=hvc0 console=hvc1`;
    expect(text(kataLines(Buffer.from('a b'), 6, true))).toEqual([
      `${old} quiet panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${old} debug panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${now} quiet panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${now} debug panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${now} quiet panic=1 nr_cpus=6 selinux=0 scsi_mod.scan=none a b`,
      `${now} debug panic=1 nr_cpus=6 selinux=0 scsi_mod.scan=none a b`,
    ]);
  });

  it('from an image name its root and the units of systemd', () => {
    const lines = text(kataLines(new Uint8Array(), 1, false));
    expect(new Set(lines).size).toBe(12);
    expect(lines.filter((line) => line.includes('rootfstype=ext4'))).toHaveLength(6);
    expect(lines).toContain(
      `${START} cryptomgr.notests net.ifnames=0 pci=lastbus=0 root=/dev/vda1 rootflags=ro rootfstype=erofs console=hvc0 console=hvc1 debug systemd.show_status=true systemd.log_level=debug panic=1 nr_cpus=1 selinux=0 systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service systemd.mask=systemd-networkd.socket scsi_mod.scan=none`,
    );
  });

  it('have no blank before what is only a newline', () => {
    for (const line of text(kataLines(Buffer.from('\n'), 1, true))) expect(line).toMatch(/scsi_mod.scan=none\n$/);
  });

  it('keep bytes that are no text', () => {
    for (const line of kataLines(Uint8Array.of(0xff, 0x80), 1, true))
      expect([...line.slice(-3)]).toEqual([0x20, 0xff, 0x80]);
  });
});
