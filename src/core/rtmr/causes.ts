/** @module Why an event of a boot differs in practice from what was predicted, in one sentence for each kind. */
import { EV, type PredictedEvent } from './events.ts';

/** Returns what most often makes this event differ. */
export function causeOf({ type, name }: PredictedEvent): string {
  return NAMED[name] ?? TYPED[type] ?? 'another host or firmware than the one that is described';
}

const NAMED: Readonly<Record<string, string>> = {
  'load options': 'another command line (a newline at its end counts), words that the host adds, or another --profile',
  initrd: 'another initrd, or one that was packed again',
  'variable SecureBoot': 'Secure Boot was switched on or off',
};

const TYPED: Readonly<Record<number, string>> = {
  [EV.handoffTables]: 'another version of QEMU, machine, size of memory or -smbios, or other firmware',
  [EV.handoffTables2]: 'another size of memory, or another machine than q35',
  [EV.firmwareBlob2]: 'another variable store: other firmware, or keys that were enrolled in it',
  [EV.variableDriverConfig]: 'other Secure Boot keys in the variable store',
  [EV.separator]: 'firmware of another release of edk2: try another --profile',
  [EV.platformConfigFlags]: 'another version of QEMU, number of vCPUs, machine or set of devices',
  [EV.bootServicesApplication]: 'another kernel, or another --kernel-header: QEMU before 10.2 changes it',
  [EV.variableBoot]: 'the firmware has found other things to boot: give them with --boot-variable',
  [EV.action]: 'the kernel was not booted directly, or not by the first attempt',
};
