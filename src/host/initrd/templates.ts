/** @module The files of templates/, and where each belongs: in an initrd, or in the system that an initrd is made on. */
import { fileURLToPath } from 'node:url';
import type { AddedFile } from './add-segment.ts';

/** Where templates/ is: as far up from the sources as from dist, where the bundle says that it stands. */
const TEMPLATES = fileURLToPath(new URL('../../../templates/', import.meta.url));

/** A file of templates/, and its path from the root of where it belongs. */
interface Template {
  readonly template: string;
  readonly name: string;
  readonly mode: number;
}

const UNLOCK: readonly Template[] = [
  { template: 'guest/unlock', name: 'usr/lib/bootseal/unlock', mode: 0o755 },
  { template: 'guest/secrets.sh', name: 'usr/lib/bootseal/secrets.sh', mode: 0o644 },
  { template: 'guest/credentials.sh', name: 'usr/lib/bootseal/credentials.sh', mode: 0o644 },
  { template: 'guest/end.sh', name: 'usr/lib/bootseal/end.sh', mode: 0o644 },
];

/** Programs that make initrds, and systemd in one. */
export const MAKERS = [
  'initramfs-tools',
  'dracut',
  'mkinitcpio',
  'systemd',
  'systemd-crypttab',
  'systemd-credentials',
] as const;
/** One of them. */
export type Maker = (typeof MAKERS)[number];

const CREDENTIALS = 'bootseal-credentials.service';

const HOOKS: Readonly<Record<Maker, readonly Template[]>> = {
  'initramfs-tools': [
    { template: 'initramfs-tools/hook', name: 'etc/initramfs-tools/hooks/bootseal', mode: 0o755 },
    {
      template: 'initramfs-tools/local-top',
      name: 'etc/initramfs-tools/scripts/local-top/bootseal',
      mode: 0o755,
    },
    { template: 'initramfs-tools/panic', name: 'etc/initramfs-tools/scripts/panic/bootseal', mode: 0o755 },
    { template: 'initramfs-tools/keyscript', name: 'usr/lib/bootseal/keyscript', mode: 0o755 },
  ],
  dracut: [
    ...['module-setup.sh', 'bootseal-open.sh', 'bootseal-end.sh'].map((name) => ({
      template: `dracut/90bootseal/${name}`,
      name: `usr/lib/dracut/modules.d/90bootseal/${name}`,
      mode: 0o755,
    })),
    // For initrds of dracut in which systemd is.
    ...[
      ...['bootseal-unlock.service', 'bootseal-credentials.service'],
      ...['root-device-unlock.conf', 'cryptsetup.conf'],
    ].map((name) => ({
      template: `systemd/${name}`,
      name: `usr/lib/dracut/modules.d/90bootseal/${name}`,
      mode: 0o644,
    })),
    {
      template: 'dracut/90bootseal/cmdline.conf',
      name: 'usr/lib/dracut/modules.d/90bootseal/cmdline.conf',
      mode: 0o644,
    },
  ],
  mkinitcpio: [
    { template: 'mkinitcpio/install', name: 'etc/initcpio/install/bootseal', mode: 0o644 },
    { template: 'mkinitcpio/hook', name: 'etc/initcpio/hooks/bootseal', mode: 0o644 },
  ],
  systemd: systemdUnits({
    services: ['bootseal-unlock.service', CREDENTIALS],
    rootDevice: 'root-device-unlock.conf',
    cryptsetup: 'cryptsetup.conf',
  }),
  'systemd-crypttab': systemdUnits({
    services: ['bootseal-key.service', CREDENTIALS],
    rootDevice: 'root-device-key.conf',
    cryptsetup: 'cryptsetup-key.conf',
  }),
  'systemd-credentials': systemdUnits({ services: [CREDENTIALS], rootDevice: 'root-device-credentials.conf' }),
};

/** What a finished initrd can be given: `unlock` for an init that calls it, `dracut` also with what calls it there. */
export const ADDITIONS = ['unlock', 'dracut'] as const;
/** One of them. */
export type Addition = (typeof ADDITIONS)[number];

/** Returns what a system needs so that `maker` puts bootseal into its initrds; `devmem` is the file of a bootseal-devmem. */
export function hookFiles(maker: Maker, devmem: string | undefined): readonly AddedFile[] {
  return [...[...HOOKS[maker], ...UNLOCK].map(fromTemplate), ...devmemFile(devmem)];
}

/** Returns what a finished initrd needs; `devmem` is the file of a bootseal-devmem. */
export function additionFiles(addition: Addition, devmem: string | undefined): readonly AddedFile[] {
  return [
    ...UNLOCK.map(fromTemplate),
    ...devmemFile(devmem),
    ...(addition === 'dracut'
      ? [
          { ...fromTemplate(DRACUT_QUEUE), folderOf: 'dracut' },
          fromTemplate(DRACUT_EMERGENCY),
          // Whether systemd is in it or not: without it these are read by nobody.
          ...[DRACUT_CMDLINE, ...HOOKS.systemd].map(fromTemplate),
        ]
      : []),
  ];
}

/** As `inst_hook initqueue/settled 10` of dracut would place it; what stands in that folder is run, whoever put it there. */
const DRACUT_QUEUE: Template = {
  template: 'dracut/90bootseal/bootseal-open.sh',
  name: 'lib/dracut/hooks/initqueue/settled/10-bootseal-open.sh',
  mode: 0o755,
};

/** As `inst_hook emergency 00` of dracut would place it. */
const DRACUT_EMERGENCY: Template = {
  template: 'dracut/90bootseal/bootseal-end.sh',
  name: 'lib/dracut/hooks/emergency/00-bootseal-end.sh',
  mode: 0o755,
};

/** What dracut adds to the command line: its module crypt, when that is there, opens nothing. */
const DRACUT_CMDLINE: Template = {
  template: 'dracut/90bootseal/cmdline.conf',
  name: 'etc/cmdline.d/bootseal.conf',
  mode: 0o644,
};

interface SystemdUnits {
  readonly services: readonly string[];
  /** What has the root wait for them. */
  readonly rootDevice: string;
  /** What keeps systemd-cryptsetup from opening anything else. */
  readonly cryptsetup?: string;
}

function systemdUnits({ services, rootDevice, cryptsetup }: SystemdUnits): readonly Template[] {
  const placed = [
    ...services.map((service) => [service, service]),
    [rootDevice, 'initrd-root-device.target.d/bootseal.conf'],
    ...['emergency', 'rescue'].map((mode) => ['emergency.conf', `${mode}.service.d/bootseal.conf`]),
    ...(cryptsetup === undefined ? [] : [[cryptsetup, 'systemd-cryptsetup@.service.d/bootseal.conf']]),
  ];
  return placed.map(([template, name]) => ({
    template: `systemd/${template}`,
    name: `usr/lib/systemd/system/${name}`,
    mode: 0o644,
  }));
}

function fromTemplate({ template, name, mode }: Template): AddedFile {
  return { name, from: `${TEMPLATES}${template}`, mode };
}

function devmemFile(file: string | undefined): readonly AddedFile[] {
  return file === undefined ? [] : [{ name: 'usr/lib/bootseal/bootseal-devmem', from: file, mode: 0o755 }];
}
