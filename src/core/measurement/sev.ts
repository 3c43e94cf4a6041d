/**
 * @module The launch digest of SEV and SEV-ES: SHA-256 over what the host adds with LAUNCH_UPDATE_DATA and LAUNCH_UPDATE_VMSA
 * (AMD SEV API 55766, sections 6.3 to 6.5; QEMU docs/system/i386/amd-memory-encryption.rst).
 */
import { BootsealError } from '../errors.ts';
import type { Firmware } from '../firmware/firmware.ts';
import type { Hashes, RunningHash } from '../hash.ts';
import { usableHashArea } from './hash-table.ts';
import type { Step, Trace } from './plan.ts';
import type { VcpuPages } from './vcpus.ts';

/** The state of a launch before its vCPUs are added. */
export interface SevLaunch {
  readonly hash: RunningHash;
}

/** Feeds the firmware and, with a kernel, the 176-byte hash table. Throws `format` when the firmware cannot take the table. */
export function startSevLaunch(
  image: Uint8Array,
  firmware: Firmware,
  hashTable: Uint8Array | undefined,
  hashes: Hashes,
  trace?: Trace,
): SevLaunch {
  // Before megabytes are hashed.
  if (hashTable !== undefined) usableHashArea(firmware);
  const hash = hashes.startSha256();
  hash.update(image);
  trace?.(dataStep('firmware', firmware.gpa, image, hash));
  return hashTable === undefined ? { hash } : withHashTable({ hash }, firmware, hashTable, trace);
}

/** Returns a launch of the firmware that goes on with the 176-byte hash table. Throws `format` when the firmware cannot take it. */
export function withHashTable(launch: SevLaunch, firmware: Firmware, hashTable: Uint8Array, trace?: Trace): SevLaunch {
  const { base } = usableHashArea(firmware);
  const hash = launch.hash.copy();
  hash.update(hashTable);
  trace?.(dataStep('kernel hashes', base, hashTable, hash));
  return { hash };
}

function dataStep(name: string, gpa: number, bytes: Uint8Array, hash: RunningHash): Step {
  return { name, type: 'data', gpa: BigInt(gpa), length: bytes.length, digest: hash.copy().digest() };
}

/** Returns the 32-byte digest of a SEV guest, which has no measured CPU state. */
export function sevDigest(launch: SevLaunch): Uint8Array {
  return launch.hash.copy().digest();
}

/**
 * Returns the 32-byte digests of SEV-ES guests with each number of vCPUs in `counts`, in the same order; all of them share the
 * work up to the largest.
 */
export function sevEsDigests(
  launch: SevLaunch,
  pages: VcpuPages,
  counts: readonly number[],
  trace?: Trace,
): readonly Uint8Array[] {
  const hash = launch.hash.copy();
  const byCount = new Map<number, Uint8Array>();
  const asked = new Set(counts);
  for (let vcpu = 0; vcpu < Math.max(...counts); vcpu++) {
    const page = vcpu === 0 ? pages.bsp : pages.ap();
    hash.update(page);
    const wanted = asked.has(vcpu + 1);
    if (!wanted && trace === undefined) continue;
    const digest = hash.copy().digest();
    if (wanted) byCount.set(vcpu + 1, digest);
    trace?.({ name: `vcpu ${vcpu}`, type: 'vmsa', gpa: undefined, length: page.length, digest });
  }
  return counts.map((count) => {
    const digest = byCount.get(count);
    if (digest === undefined)
      throw new BootsealError('usage', `cannot measure ${count} vCPUs`, {
        hint: 'a guest has 1 vCPU or more, in whole numbers',
      });
    return digest;
  });
}
