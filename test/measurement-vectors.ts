/** @module The launch-digest entries of test/vectors/measurement.json, turned into requests of ours. */
import { parseFirmware } from '../src/core/firmware/firmware.ts';
import { hexToBytes } from '../src/core/hex.ts';
import { cpuModel, cpuSignature } from '../src/core/measurement/cpu-models.ts';
import type { KernelHashes } from '../src/core/measurement/hash-table.ts';
import type { MeasureRequest, Platform } from '../src/core/measurement/measure.ts';
import { findProfile } from '../src/core/measurement/profiles.ts';
import { nodeHashes } from '../src/host/node-hashes.ts';
import { fixture } from './fixtures.ts';

/** The inputs of an entry, in the words of the peers that made it. */
export interface VectorInputs {
  readonly ovmf: string;
  readonly kernel?: string | null;
  readonly initrd?: string | null;
  readonly append?: string | null;
  readonly vcpus?: number;
  readonly vcpu_type?: string;
  readonly vcpu_sig?: number;
  readonly vmm?: string;
  readonly guest_features?: number | string;
  readonly ec2_rdx?: number;
  readonly ovmf_hash?: string;
  readonly vmsa_gpa?: number;
  readonly svsm?: string;
  readonly vars_size?: number;
  readonly mxcsr?: number;
  readonly x87_fcw?: number;
}

/** One entry. */
export interface Vector {
  readonly id: string;
  readonly mode: string;
  readonly inputs: VectorInputs;
  readonly expected: { readonly hex: string };
  readonly class: string;
  readonly note?: string | null;
}

function profileName(inputs: VectorInputs): string {
  if (inputs.vmm === 'ec2') return inputs.ec2_rdx === 0 ? 'ec2-2023' : 'ec2';
  if (inputs.vmm === 'gce') return inputs.vmsa_gpa === undefined ? 'gce-milan' : 'gce-genoa';
  return inputs.svsm !== undefined && inputs.mxcsr === 0 ? 'qemu-legacy' : 'qemu';
}

/** Returns the three SHA-256 values of a direct boot. */
export function kernelHashes(kernel: Uint8Array, initrd: Uint8Array, cmdline: string): KernelHashes {
  return {
    kernel: nodeHashes.sha256(kernel),
    initrd: nodeHashes.sha256(initrd),
    cmdline: nodeHashes.sha256(Buffer.from(`${cmdline}\0`)),
  };
}

/** Returns the request that an entry stands for. */
export function requestOf(mode: string, inputs: VectorInputs): MeasureRequest {
  const platform = { sev: 'sev', seves: 'sev-es', snp: 'snp', 'snp:svsm': 'snp' }[mode] as Platform;
  const image = fixture(inputs.ovmf);
  const signature = inputs.vcpu_sig ?? cpuSignature(cpuModel(inputs.vcpu_type ?? 'EPYC'));
  return {
    platform,
    firmware: {
      image,
      firmware: parseFirmware(image),
      snpDigest: inputs.ovmf_hash ? hexToBytes(inputs.ovmf_hash) : undefined,
    },
    kernel: inputs.kernel
      ? kernelHashes(
          fixture(inputs.kernel),
          inputs.initrd ? fixture(inputs.initrd) : new Uint8Array(),
          inputs.append ?? '',
        )
      : undefined,
    profile: findProfile(profileName(inputs)),
    vcpus: [inputs.vcpus ?? 1],
    cpus: [{ name: inputs.vcpu_type, signature }],
    // Peers apply the features to SNP only; their SEV-ES digests have none.
    features: platform === 'snp' ? BigInt(inputs.guest_features ?? 1) : 0n,
    svsm: inputs.svsm === undefined ? undefined : { image: fixture(inputs.svsm), varsSize: inputs.vars_size ?? 0 },
    unknownSections: 'refuse',
    plan: false,
  };
}
