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
  if (idBlock === undefined) return;
  if (equalInConstantTime(idBlock, digest))
    remark(io, 'note', 'the file has an SNP ID block, which demands this digest');
  else
    remark(io, 'warning', 'the SNP ID block of the file demands another digest: the platform will not start the guest');
}

function remarkOnVcpus(io: Io, { platform, loader, vmsas }: IgvmMeasured): void {
  if (platform !== 'snp' && platform !== 'sev-es') return;
  if (vmsas.length === 0) {
    remark(
      io,
      'warning',
      'the file has no VMSA for the platform: those that the host adds by itself are not in the digest',
    );
  } else if (loader === 'qemu') {
    const kind = vmsas.length === 1 ? 'one vCPU' : `${vmsas.length} vCPUs`;
    remark(io, 'note', `the digest is of ${kind}, as in the file: KVM measures a VMSA for each further vCPU of -smp`);
  }
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
  const states = vmsas.map((page) => Vmsa.unpack(page));
  const cr0 = states.map((state) => state.cr0).find((value) => value !== 0x30n && value !== 0x31n);
  if (cr0 !== undefined) {
    remark(
      io,
      'warning',
      `KVM sets CR0 to 0x30 or 0x31 by itself, the VMSA has 0x${cr0.toString(16)}: the host will report another digest`,
    );
  }
  // sev_apply_cpu_context in target/i386/sev.c (1c980ea) reads ldtr.base for TR.
  if (states.some(({ tr, ldtr }) => tr.base !== ldtr.base)) {
    remark(
      io,
      'warning',
      'QEMU gives TR the base of LDTR, and the VMSA has two: the host will report another digest, unless its QEMU is mended',
    );
  }
  const features = [...new Set(states.flatMap(({ sev_features }) => featureNames(sev_features)))];
  if (features.length > 0) {
    remark(io, 'note', `QEMU stops where the KVM of the host has not what the VMSA asks for: ${features.join(', ')}`);
  }
}
