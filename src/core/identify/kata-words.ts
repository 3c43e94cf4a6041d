/**
 * @module What Kata Containers makes of the kernel_params of its configuration. Its runtime in Go: kata-containers/kata-containers
 * src/runtime/virtcontainers/qemu_amd64.go (kernelParams), qemu_arch_base.go (kernelParamsDebug, handleImagePath), qemu.go
 * (kernelParameters), kata_agent.go (KataAgentKernelParams) and src/runtime/pkg/katautils/config.go (SetKernelParams); lines as they came
 * out of it: the tests of confidential-containers/operator, edgelesssys/contrast packages/by-name/kata.
 */
import { AGENT_CHOICES, type AgentWords, NO_AGENT_WORDS } from './kata-agent-words.ts';
import { joinFields, type KataFields, type KataLine, kataFields } from './kata-fields.ts';
import { rustLines } from './kata-rust-words.ts';

/** The guest that it was made for. */
export interface KataGuest {
  /** With an initrd, or from an image. */
  readonly withInitrd: boolean;
  /** The most vCPUs that it may have. */
  readonly mostVcpus: number;
  /** What kataVerityWord makes of hash trees that the image may have; empty for none. */
  readonly verity: readonly string[];
}

const MACHINE =
  'tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.direct=1 i8042.dumbkbd=1 i8042.nopnp=1 i8042.noaux=1 noreplace-smp reboot=k';
const QUICK = 'cryptomgr.notests net.ifnames=0 pci=lastbus=0';
const CONSOLES = 'console=hvc0 console=hvc1';

const IMAGE_VERBOSITY = [
  'quiet systemd.show_status=false',
  'debug systemd.show_status=true systemd.log_level=debug',
] as const;
const INITRD_VERBOSITY = ['quiet', 'debug'] as const;
const SYSTEMD =
  'systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service systemd.mask=systemd-networkd.socket';

interface Form {
  readonly consolesFirst: boolean;
  readonly selinux: string;
  /** Whether nr_cpus says how many vCPUs there are. */
  readonly counted: boolean;
  readonly verity: boolean;
  readonly agents: readonly AgentWords[];
}

const OLD = { counted: true, selinux: '', verity: false, agents: [NO_AGENT_WORDS] };
const SINCE_3_1 = { consolesFirst: false, selinux: 'selinux=0', verity: true, agents: AGENT_CHOICES };

/** The consoles have moved behind the root, and SELinux is switched off, since version 3; confidential guests are not counted since 3.32. */
const FORMS: readonly Form[] = [
  { consolesFirst: true, ...OLD },
  { consolesFirst: false, ...OLD },
  { counted: true, ...SINCE_3_1 },
  { counted: false, ...SINCE_3_1 },
];

/** Returns the lines that both runtimes may have made of the owner's `line`; first those that go with any number of vCPUs. */
export function kataLines(line: Uint8Array, guest: KataGuest): readonly KataLine[] {
  const fields = kataFields(line);
  const roots = rootsOf(guest);
  const counts = Array.from({ length: guest.mostVcpus }, (_, i) => i + 1);
  const inGo = (vcpus: number | undefined) =>
    FORMS.filter(
      ({ counted, verity }) => counted === (vcpus !== undefined) && (verity || guest.verity.length === 0),
    ).flatMap((form) => roots.flatMap((root) => goLines(fields, form, root, vcpus)));
  return [...inGo(undefined), ...roots.flatMap((root) => rustLines(fields, root)), ...counts.flatMap(inGo)];
}

/** Returns how many lines {@link kataLines} makes of any line, without making them. */
export function countKataLines(guest: KataGuest): number {
  const [none, one] = [0, 1].map((mostVcpus) => kataLines(new Uint8Array(), { ...guest, mostVcpus }).length);
  return (none ?? 0) + guest.mostVcpus * ((one ?? 0) - (none ?? 0));
}

/** The root file system of an image; undefined for an initrd. */
function rootsOf({ withInitrd, verity }: KataGuest): readonly (string | undefined)[] {
  if (withInitrd) return [undefined];
  const roots = verity.length === 0 ? ['root=/dev/vda1'] : verity.map((word) => `${word} root=/dev/dm-0`);
  return roots.flatMap((root) => [
    `${root} rootflags=ro rootfstype=erofs`,
    `${root} rootflags=data=ordered,errors=remount-ro ro rootfstype=ext4`,
  ]);
}

function goLines(
  { params, extensions }: KataFields,
  { consolesFirst, selinux, agents }: Form,
  root: string | undefined,
  vcpus: number | undefined,
): readonly KataLine[] {
  const machine = consolesFirst ? [MACHINE, CONSOLES, QUICK, root ?? ''] : [MACHINE, QUICK, root ?? '', CONSOLES];
  const nrCpus = vcpus === undefined ? '' : `nr_cpus=${vcpus}`;
  const behind = ['panic=1', nrCpus, selinux, root === undefined ? '' : SYSTEMD, 'scsi_mod.scan=none'];
  return (root === undefined ? INITRD_VERBOSITY : IMAGE_VERBOSITY).flatMap((verbosity) =>
    agents.map(({ log, console, timeout }) => {
      const words = [...machine, verbosity, ...behind, log, console, timeout];
      return { bytes: joinFields([...words, ...params, ...extensions]), vcpus, debugConsole: console !== '' };
    }),
  );
}
