/** @module The items of QEMU's fw_cfg that OVMF measures as it reads them, since edk2-stable202505 (OvmfPkg/Library/QemuFwCfgLib/QemuFwCfgCacheInit.c). */
import type { Hashes } from '../hash.ts';
import { EV, type PredictedEvent } from './events.ts';

/** What a host has of them. */
export interface FwCfgItems {
  /** Contents by name; what is not there is not measured. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Whether QEMU was started with `-boot menu=on`: no file, but an item that is always there. */
  readonly bootMenu: boolean;
}

const BOOT_MENU = 'BootMenu';

/** In the order of the events. One of another size, in bytes, is not measured. */
const MEASURED: readonly { readonly name: string; readonly size?: number }[] = [
  { name: 'etc/extra-pci-roots', size: 8 },
  { name: BOOT_MENU, size: 2 },
  { name: 'etc/boot-menu-wait', size: 2 },
  { name: 'etc/reserved-memory-end', size: 8 },
  { name: 'opt/ovmf/X-PciMmio64Mb' },
  { name: 'bootorder' },
];

/** The names of the files that are measured where a host has them. */
export const MEASURED_FILES: readonly string[] = MEASURED.map(({ name }) => name).filter((name) => name !== BOOT_MENU);

/** Returns the events; one that says what is missing where the items are not known. */
export function fwCfgEvents(
  items: FwCfgItems | undefined,
  { sha384 }: Pick<Hashes, 'sha384'>,
): readonly PredictedEvent[] {
  const type = EV.platformConfigFlags;
  if (items === undefined) return [{ rtmr: 0, type, name: 'fw_cfg', digest: undefined, missing: MISSING }];
  return MEASURED.flatMap(({ name, size }) => {
    const data = name === BOOT_MENU ? Uint8Array.of(items.bootMenu ? 1 : 0, 0) : items.files.get(name);
    if (data === undefined || data.length === 0 || (size !== undefined && data.length !== size)) return [];
    return [{ rtmr: 0, type, name, digest: new Uint8Array(sha384(data)), missing: undefined }];
  });
}

const MISSING = 'the items of fw_cfg are not given, which this firmware measures';
