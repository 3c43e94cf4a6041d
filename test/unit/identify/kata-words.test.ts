import { describe, expect, it } from 'vitest';
import { countKataLines, kataLines } from '../../../src/core/identify/kata-words.ts';

const START =
  'tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.direct=1 i8042.dumbkbd=1 i8042.nopnp=1 i8042.noaux=1 noreplace-smp reboot=k';
const SYSTEMD =
  'systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service systemd.mask=systemd-networkd.socket';

const guest = (withInitrd: boolean, mostVcpus: number, verity: readonly string[] = []) => ({
  withInitrd,
  mostVcpus,
  verity,
});
const all = (line: string | Uint8Array, ...of: Parameters<typeof guest>) => kataLines(Buffer.from(line), guest(...of));
const text = (...of: Parameters<typeof all>) => all(...of).map(({ bytes }) => Buffer.from(bytes).toString());

describe('the lines of Kata Containers', () => {
  it('with an initrd and nr_cpus are those of three ages, quiet or not', () => {
    const old = `${START} console=hvc0 console=hvc1 cryptomgr.notests net.ifnames=0 pci=lastbus=0`;
    const now = `${START} cryptomgr.notests net.ifnames=0 pci=lastbus=0 console=hvc0 console=hvc1`;
    const plain = all('a b', true, 6).filter(
      ({ bytes, vcpus }) => vcpus === 6 && !Buffer.from(bytes).includes('agent.'),
    );
    expect(plain.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([
      `${old} quiet panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${old} debug panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${now} quiet panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${now} debug panic=1 nr_cpus=6 scsi_mod.scan=none a b`,
      `${now} quiet panic=1 nr_cpus=6 selinux=0 scsi_mod.scan=none a b`,
      `${now} debug panic=1 nr_cpus=6 selinux=0 scsi_mod.scan=none a b`,
    ]);
  });

  it('are as many as docs/identify.md says, each once', () => {
    const counts = (lines: ReturnType<typeof all>) => [
      new Set(lines.map(({ bytes }) => Buffer.from(bytes).toString())).size,
      lines.filter(({ vcpus }) => vcpus === undefined).length,
      lines.filter(({ vcpus }) => vcpus === 2).length,
    ];
    expect(counts(all('a', true, 3))).toEqual([48 + 3 * 20, 48, 20]);
    expect(counts(all('a', false, 3))).toEqual([96 + 3 * 40, 96, 40]);
    expect(counts(all('a', false, 3, ['dm-mod.create="a"']))).toEqual([96 + 3 * 32, 96, 32]);
    expect(counts(all('a', false, 3, ['dm-mod.create="a"', 'dm-mod.create="b"']))).toEqual([192 + 3 * 64, 192, 64]);
  });

  it('from an image name its root and the units of systemd', () => {
    const lines = text('', false, 1);
    const filesystem = (type: string) => lines.filter((line) => line.includes(` rootfstype=${type} `)).length;
    expect(filesystem('ext4')).toBe(filesystem('erofs'));
    expect(lines).toContain(
      `${START} cryptomgr.notests net.ifnames=0 pci=lastbus=0 root=/dev/vda1 rootflags=ro rootfstype=erofs console=hvc0 console=hvc1 debug systemd.show_status=true systemd.log_level=debug panic=1 nr_cpus=1 selinux=0 ${SYSTEMD} scsi_mod.scan=none`,
    );
  });

  // The configuration of SNP in 3.32.0 (src/runtime/config/configuration-qemu-snp.toml.in): an image of ext4, launch_process_timeout = 6, and no nr_cpus.
  it('of confidential guests since 3.32 say no number of vCPUs', () => {
    const now = `${START} cryptomgr.notests net.ifnames=0 pci=lastbus=0 root=/dev/vda1 rootflags=data=ordered,errors=remount-ro ro rootfstype=ext4 console=hvc0 console=hvc1`;
    const line = `${now} quiet systemd.show_status=false panic=1 selinux=0 ${SYSTEMD} scsi_mod.scan=none agent.launch_process_timeout=6 a`;
    expect(all('a', false, 2)).toContainEqual({
      bytes: new Uint8Array(Buffer.from(line)),
      vcpus: undefined,
      debugConsole: false,
    });
  });

  it('tell the agent to write everything down, and to open a debug console', () => {
    const end = 'agent.log=debug agent.debug_console agent.debug_console_vport=1026 agent.launch_process_timeout=6 a';
    const debugged = all('a', true, 1).filter(({ bytes }) => Buffer.from(bytes).toString().endsWith(` ${end}`));
    expect(debugged.map(({ vcpus, debugConsole }) => [vcpus, debugConsole])).toEqual([
      [undefined, true],
      [undefined, true],
      [1, true],
      [1, true],
    ]);
  });

  it('of the runtime in Rust have words behind those of the owner', () => {
    const lines = text('a b', false, 0);
    const root = 'root=/dev/vda1 rootflags=data=ordered,errors=remount-ro ro rootfstype=ext4';
    expect(lines).toContain(
      `reboot=k panic=1 ${SYSTEMD} ${root} agent.cdh_api_timeout=50 agent.launch_process_timeout=6 a b selinux=0 console=hvc0`,
    );
    expect(lines).toContain(
      `reboot=k panic=1 ${SYSTEMD} agent.log_vport=1025 ${root} agent.cdh_api_timeout=50 agent.debug_console agent.debug_console_vport=1026 agent.launch_process_timeout=6 agent.log=debug a b selinux=0 console=hvc0`,
    );
    expect(lines).toContain(
      `reboot=k panic=1 systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service ${root} a b selinux=0 console=hvc0`,
    );
    expect(text('a b', true, 0)).toContain(
      `reboot=k panic=1 ${SYSTEMD} agent.cdh_api_timeout=50 a b selinux=0 console=hvc0`,
    );
  });

  it('of the runtime in Rust are none where the owner’s end with a newline', () => {
    expect(text('a\n', true, 0).filter((line) => line.startsWith('reboot=k'))).toEqual([]);
    expect(text('kata.extension.a.verity_params=b\n', true, 0).filter((line) => line.startsWith('reboot=k'))).toEqual(
      [],
    );
    expect(text('a\n', true, 0).every((line) => line.endsWith(' a\n'))).toBe(true);
  });

  it('have the words of extensions where each runtime puts them', () => {
    const lines = text('a kata.extension.coco.verity_params=root_hash=1,salt=2 b', true, 0);
    for (const line of lines) {
      expect(line).toMatch(
        line.startsWith('tsc')
          ? / a b kata\.extension\.coco\.verity_params=root_hash=1,salt=2$/
          : / a b selinux=0 kata\.extension\.coco\.verity_params=root_hash=1,salt=2 console=hvc0$/,
      );
    }
  });

  it('with a hash tree have its root, and only those of versions that know it', () => {
    const word = 'dm-mod.create="dm-verity,,,ro,0 8 verity 1 /dev/vda1 /dev/vda2 4096 4096 1 0 sha256 abc def"';
    const lines = text('a', false, 2, [word]);
    for (const line of lines) expect(line).toContain(` ${word} root=/dev/dm-0 rootflags=`);
    expect(lines.some((line) => line.includes('root=/dev/vda1'))).toBe(false);
    expect(lines.every((line) => line.includes(' selinux=0 '))).toBe(true);
    const root = `${word} root=/dev/dm-0 rootflags=data=ordered,errors=remount-ro ro rootfstype=ext4`;
    expect(lines).toContain(
      `${START} cryptomgr.notests net.ifnames=0 pci=lastbus=0 ${root} console=hvc0 console=hvc1 quiet systemd.show_status=false panic=1 nr_cpus=2 selinux=0 ${SYSTEMD} scsi_mod.scan=none a`,
    );
    expect(lines).toContain(
      `reboot=k panic=1 ${SYSTEMD} ${root} agent.cdh_api_timeout=50 agent.launch_process_timeout=6 a selinux=0 console=hvc0`,
    );
    expect(lines.some((line) => line.includes('root=/dev/dm-0 rootflags=ro rootfstype=erofs'))).toBe(true);
  });

  it('have one blank between the words of the owner, but for what is quoted', () => {
    for (const line of text('  a   b="c  d"  e ', true, 1)) expect(line).toMatch(/[^ ] a b="c {2}d" e($| selinux)/);
  });

  it.each([
    [true, 0, []],
    [true, 7, []],
    [false, 3, []],
    [false, 5, ['dm-mod.create="a"', 'dm-mod.create="b"']],
  ] as const)('are counted without being made: %j, %j vCPUs, %j', (withInitrd, mostVcpus, verity) => {
    const of = guest(withInitrd, mostVcpus, verity);
    expect(countKataLines(of)).toBe(kataLines(Buffer.from('a b'), of).length);
  });

  it('have no blank before what is only a newline', () => {
    for (const line of text('\n', true, 1)) expect(line).toMatch(/[^ ]\n$/);
  });

  it('keep bytes that are no text', () => {
    for (const { bytes } of all(Uint8Array.of(0xff, 0x80, 0x0a), true, 1))
      expect([...bytes.slice(-4)]).toEqual([0x20, 0xff, 0x80, 0x0a]);
  });
});
