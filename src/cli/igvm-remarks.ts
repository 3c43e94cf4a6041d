/** @module What a person is told of an IGVM file: where its loaders differ, and what a host would do that no file says. */
import { equalInConstantTime } from '../core/bytes.ts';
import type { IgvmFile } from '../core/igvm/file.ts';
import { featureNames } from '../core/measurement/features.ts';
import type { IgvmMeasured } from '../core/measurement/igvm.ts';
import { loaderName } from '../core/measurement/igvm-stop.ts';
import { Vmsa } from '../core/measurement/vmsa.ts';
import { type Io, remark } from './io.ts';
import { type DigestFormat, digestText } from './plan-text.ts';

/** Says what the digest does not. */
export function remarkOnIgvm(io: Io, file: IgvmFile, measured: IgvmMeasured, format: DigestFormat): void {
  for (const difference of measured.differences) remark(io, 'note', `loaders differ: ${difference}`);
  for (const { loader, digest, stops } of measured.others) {
    const its = digest === undefined ? `: ${stops}` : ` (${loaderName(loader)}): ${digestText(digest, format)}`;
    remark(io, 'note', `--as ${loader}${its}`);
  }
  for (const warning of measured.warnings) remark(io, 'warning', warning);
  remarkOnIdBlock(io, measured);
  remarkOnVcpus(io, measured);
  if (measured.platform === 'tdx') {
    remark(
      io,
      'note',
      'MRTD is what microsoft/igvm makes of the file: QEMU loads none for TDX; RTMRs are not predicted',
    );
  }
  if (measured.loader === 'qemu') remarkOnQemu(io, file, measured);
}

function remarkOnIdBlock(io: Io, { idBlock, digest }: IgvmMeasured): void {
  if (idBlock !== undefined && equalInConstantTime(idBlock, digest)) {
    remark(io, 'note', 'the file has an SNP ID block, which demands this digest');
  }
}

function remarkOnVcpus(io: Io, { loader, vmsas }: IgvmMeasured): void {
  if (loader !== 'qemu' || vmsas.length === 0) return;
  const kind = vmsas.length === 1 ? 'one vCPU' : `${vmsas.length} vCPUs`;
  remark(io, 'note', `the digest is of ${kind}, as in the file: KVM measures a VMSA for each further vCPU of -smp`);
}

/** The header types that QEMU has handlers for (backends/igvm.c), and the device tree, which COCONUT SVSM's files have. */
const QEMU_TYPES = [0x1, 0x101, 0x301, 0x302, 0x303, 0x304, 0x305, 0x307, 0x309, 0x30b, 0x30c, 0x312, 0x313];

function remarkOnQemu(io: Io, { types }: IgvmFile, { vmsas }: IgvmMeasured): void {
  const unknown = types.filter((type) => !QEMU_TYPES.includes(type)).map((type) => `0x${type.toString(16)}`);
  if (unknown.length > 0) {
    remark(
      io,
      'warning',
      `QEMU does not load header types ${unknown.join(', ')}: is the file for Hyper-V? Then give --as microsoft`,
    );
  }
  const features = [...new Set(vmsas.flatMap((page) => featureNames(Vmsa.unpack(page).sev_features)))];
  if (features.length > 0) {
    remark(io, 'note', `QEMU stops where the KVM of the host has not what the VMSA asks for: ${features.join(', ')}`);
  }
}
