/** @module How a file is refused that one of the loaders would stop at. */
import { BootsealError } from '../errors.ts';

const NAMES = { qemu: 'QEMU', coconut: 'igvmmeasure of COCONUT SVSM', microsoft: 'microsoft/igvm' } as const;

const HINTS = {
  qemu: 'for a file that Hyper-V or OpenVMM loads give --as microsoft, and --as coconut for what igvmmeasure says',
  coconut: 'give --as qemu or --as microsoft for what these make of the file',
  microsoft: 'give --as qemu or --as coconut for what these make of the file',
} as const;

/** Returns the `format` error for a file in which a loader stops at `what`. */
export function igvmStop(loader: keyof typeof NAMES, what: string): BootsealError {
  return new BootsealError('format', `IGVM: ${NAMES[loader]} stops at ${what}`, { hint: HINTS[loader] });
}

/** Returns what a loader is called. */
export function loaderName(loader: keyof typeof NAMES): string {
  return NAMES[loader];
}
