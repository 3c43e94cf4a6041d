/** @module A prepared launch as the host sees it: what QEMU and libvirt are told. Nothing in it is secret. */
import { BootsealError } from '../errors.ts';
import type { LaunchDescription } from './description.ts';

/** Files by their names on the host. */
export interface HostFiles {
  readonly firmware: string;
  readonly kernel: string;
  readonly initrd: string | undefined;
  readonly disk: string | undefined;
  /** The files of the prepared folder that the host needs. */
  readonly godh: string;
  readonly session: string;
  /** Where QEMU is to make its QMP socket. */
  readonly qmp: string;
}

/** Everything that the host is told. */
export interface HostGuest {
  readonly description: LaunchDescription;
  readonly files: HostFiles;
  /** The whole command line, as it was measured. */
  readonly cmdline: string;
  /** Base64 texts. */
  readonly godh: string;
  readonly session: string;
}

/** Ways of starting SEV-ES guests as profiles describe them; plain SEV measures nothing of them. */
interface VmType {
  readonly machine: string;
  /** Properties of QEMU's sev-guest. */
  readonly property: string;
}

const PLAIN: VmType = { machine: 'q35', property: '' };

const VM_TYPES: Readonly<Record<LaunchDescription['profile'], { readonly qemu: VmType; readonly libvirt: VmType }>> = {
  qemu: {
    qemu: { machine: 'q35', property: ',legacy-vm-type=off' },
    // libvirt has no word for legacy-vm-type: machine types from 9.1 on have it off.
    libvirt: { machine: 'pc-q35-9.1', property: '' },
  },
  // Machine types before 9.1 have legacy-vm-type on, and QEMU before 9.1, which does not know the property, has them.
  'qemu-legacy': {
    qemu: { machine: 'pc-q35-7.2', property: '' },
    libvirt: { machine: 'pc-q35-7.2', property: '' },
  },
};

/** Returns how `vmm` is told to start the guest as its profile describes. */
export function vmType({ platform, profile }: LaunchDescription, vmm: 'qemu' | 'libvirt'): VmType {
  return platform === 'sev' ? PLAIN : VM_TYPES[profile][vmm];
}

/** Returns a policy as hosts write it. */
export function policyHex(policy: number): string {
  return `0x${policy.toString(16)}`;
}

/**
 * Returns the names that files have on the host: in `folder` with the last part of their names, or as they are. Throws `usage` when two
 * different files would get the same name there.
 */
export function hostNames<const K extends string>(
  files: Readonly<Record<K, string | undefined>>,
  folder: string | undefined,
): Record<K, string | undefined> {
  const owners = new Map<string, string>();
  const named = Object.entries<string | undefined>(files).map(([role, file]) => {
    if (file === undefined || folder === undefined) return [role, file];
    const name = `${folder.replace(/\/+$/, '')}/${file.slice(file.lastIndexOf('/') + 1)}`;
    const other = owners.get(name);
    if (other !== undefined && other !== file) {
      throw new BootsealError('usage', `host-folder: two files would be called ${name}`, {
        hint: 'rename one of them: on the host all files lie in one folder',
      });
    }
    owners.set(name, file);
    return [role, name];
  });
  return Object.fromEntries(named);
}
