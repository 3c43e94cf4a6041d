/**
 * @module What Kata Containers puts before the kernel_params of its configuration (kata-containers/kata-containers
 * src/runtime/virtcontainers/qemu_amd64.go, kernelParams, and qemu_arch_base.go, kernelParamsDebug; lines as they came out of it: the
 * tests of confidential-containers/operator, edgelesssys/contrast packages/by-name/kata).
 */
import { encodeUtf8 } from '../utf8.ts';

const MACHINE =
  'tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.direct=1 i8042.dumbkbd=1 i8042.nopnp=1 i8042.noaux=1 noreplace-smp reboot=k';
const QUICK = 'cryptomgr.notests net.ifnames=0 pci=lastbus=0';
const CONSOLES = 'console=hvc0 console=hvc1';

const NEWLINE = 0x0a;

/** The root file system of a guest image without an initrd. */
const ROOTS = [
  'root=/dev/vda1 rootflags=ro rootfstype=erofs',
  'root=/dev/vda1 rootflags=data=ordered,errors=remount-ro ro rootfstype=ext4',
];
const IMAGE_VERBOSITY = [
  'quiet systemd.show_status=false',
  'debug systemd.show_status=true systemd.log_level=debug',
] as const;
const INITRD_VERBOSITY = ['quiet', 'debug'] as const;
const SYSTEMD =
  'systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service systemd.mask=systemd-networkd.socket';

/** The consoles have moved behind the root, and SELinux is switched off, since version 3. */
const FORMS = [
  { consolesFirst: true, selinux: [] },
  { consolesFirst: false, selinux: [] },
  { consolesFirst: false, selinux: ['selinux=0'] },
];

/** Returns the lines that a guest with `vcpus` vCPUs may have got for the owner's `line`, with an initrd or from an image. */
export function kataLines(line: Uint8Array, vcpus: number, withInitrd: boolean): readonly Uint8Array[] {
  const roots = withInitrd ? [[]] : ROOTS.map((root) => [root]);
  return FORMS.flatMap(({ consolesFirst, selinux }) =>
    roots.flatMap((root) =>
      (withInitrd ? INITRD_VERBOSITY : IMAGE_VERBOSITY).map((verbosity) => {
        const machine = consolesFirst ? [MACHINE, CONSOLES, QUICK, ...root] : [MACHINE, QUICK, ...root, CONSOLES];
        const systemd = withInitrd ? [] : [SYSTEMD];
        const words = [...machine, verbosity, `panic=1 nr_cpus=${vcpus}`, ...selinux, ...systemd, 'scsi_mod.scan=none'];
        return behind(words.join(' '), line);
      }),
    ),
  );
}

function behind(words: string, line: Uint8Array): Uint8Array {
  // What is only the end of a line has no blank before it.
  const before = encodeUtf8(line.every((byte) => byte === NEWLINE) ? words : `${words} `);
  const both = new Uint8Array(before.length + line.length);
  both.set(before);
  both.set(line, before.length);
  return both;
}
