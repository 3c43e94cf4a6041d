/** @module What a person is told of an IGVM file: where its loaders differ, and what a host would do that no file says. */
import { equalInConstantTime } from '../core/bytes.ts';
import { bytesToHex } from '../core/hex.ts';
import { featureNames } from '../core/measurement/features.ts';
import type { IgvmMeasured } from '../core/measurement/igvm.ts';
import { loaderName } from '../core/measurement/igvm-stop.ts';
import { Vmsa } from '../core/measurement/vmsa.ts';
import { type Io, remark } from './io.ts';
import { type DigestFormat, digestText } from './plan-text.ts';

/** Says what the digest does not. */
export function remarkOnIgvm(io: Io, measured: IgvmMeasured, format: DigestFormat): void {
  for (const difference of measured.differences) remark(io, 'note', `loaders differ: ${difference}`);
  for (const { loader, digest, stops } of measured.others) {
    const its = digest === undefined ? `: ${stops}` : ` (${loaderName(loader)}): ${digestText(digest, format)}`;
    remark(io, 'note', `--as ${loader}${its}`);
  }
  for (const warning of warningsIn(measured, format)) remark(io, 'warning', warning);
  remarkOnIdBlock(io, measured);
  remarkOnVcpus(io, measured);
  if (measured.platform === 'tdx') {
    remark(
      io,
      'note',
      'MRTD is what microsoft/igvm makes of the file: QEMU loads none for TDX; RTMRs are not predicted',
    );
  }
  if (measured.loader === 'qemu') remarkOnQemu(io, measured);
}

/** Returns the warnings with their digest in the format that is asked for. */
export function warningsIn({ warnings, ifKvmResetsFpu }: IgvmMeasured, format: DigestFormat): readonly string[] {
  if (ifKvmResetsFpu === undefined) return warnings;
  const { digest } = ifKvmResetsFpu;
  return warnings.map((text) => text.replace(bytesToHex(digest), digestText(digest, format)));
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

function remarkOnQemu(io: Io, { vmsas }: IgvmMeasured): void {
  const features = [...new Set(vmsas.flatMap((page) => featureNames(Vmsa.unpack(page).sev_features)))];
  if (features.length > 0) {
    remark(io, 'note', `QEMU stops where the KVM of the host has not what the VMSA asks for: ${features.join(', ')}`);
  }
}
