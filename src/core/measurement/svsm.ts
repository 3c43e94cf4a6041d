/**
 * @module SNP launches in which a COCONUT SVSM runs below the firmware, as QEMU forks before IGVM started them (virtee/
 * sev-snp-measure sevsnpmeasure/guest.py, svsm_calc_launch_digest): firmware pages, SVSM pages, the SVSM's metadata, VMSAs.
 */
import { BootsealError } from '../errors.ts';
import { type Firmware, parseFirmware } from '../firmware/firmware.ts';
import type { Hashes } from '../hash.ts';
import type { Trace } from './plan.ts';
import { findProfile, type Profile } from './profiles.ts';
import { PAGE_SIZE, SnpDigest } from './snp.ts';
import { addSections } from './snp-sections.ts';
import type { VcpuPages } from './vcpus.ts';
import { type VmsaFields, vmsaPage } from './vmsa.ts';

/** An SVSM binary and where the host puts it. */
export interface Svsm {
  readonly image: Uint8Array;
  readonly firmware: Firmware;
  /** Guest physical address of its first byte. */
  readonly gpa: number;
  /** Guest physical address at which every vCPU starts. */
  readonly entry: number;
}

/**
 * Places an SVSM binary below the firmware's variable store of `varsSize` bytes. Throws `format` when the file is no SVSM and
 * `usage` when there is no room.
 */
export function placeSvsm(image: Uint8Array, ovmf: Pick<Firmware, 'gpa'>, varsSize: number): Svsm {
  const firmware = ofSvsm(() => parseFirmware(image));
  if (firmware.svsmEntry === undefined) {
    throw new BootsealError('format', 'the SVSM file has no SVSM entry in its footer table', { hint: WANTED });
  }
  const gpa = ovmf.gpa - varsSize - image.length;
  if (!(varsSize >= 0) || gpa < 0 || varsSize % PAGE_SIZE !== 0 || image.length % PAGE_SIZE !== 0) {
    throw new BootsealError(
      'usage',
      `SVSM of ${image.length} bytes and variables of ${varsSize} bytes are not whole pages below the firmware`,
      {
        hint: 'take the SVSM in the form that QEMU loads (svsm.bin), and the size of the variable store that is in the firmware',
      },
    );
  }
  const entry = gpa + firmware.svsmEntry;
  if (firmware.svsmEntry >= image.length)
    throw new BootsealError('format', 'the SVSM’s entry point lies outside of it', {
      hint: 'take the SVSM in the form that QEMU loads (svsm.bin)',
    });
  return { image, firmware, gpa, entry };
}

const WANTED = 'give the svsm.bin of COCONUT SVSM from before its IGVM builds';

/** Reads the SVSM with what reads firmware, whose refusals speak of firmware. */
function ofSvsm<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    const reason = error.message.replace(/^firmware: /, '').replace(/^the firmware’s /, 'its ');
    const hint = error.hint.includes('--unknown-sections') ? error.hint : WANTED;
    throw new BootsealError('format', `the SVSM file: ${reason}`, { hint, cause: error });
  }
}

/** Returns the digest after the firmware's pages (`firmwareDigest`, 48 bytes), the SVSM's pages and the SVSM's metadata. */
export function startSvsmLaunch(
  firmwareDigest: Uint8Array,
  svsm: Svsm,
  unknownSections: 'refuse' | 'zero',
  hashes: Hashes,
  trace?: Trace,
): SnpDigest {
  const digest = new SnpDigest(hashes, firmwareDigest);
  digest.add('normal', BigInt(svsm.gpa), svsm.image);
  trace?.({
    name: 'svsm',
    type: 'normal',
    gpa: BigInt(svsm.gpa),
    length: svsm.image.length,
    digest: digest.value(),
  });
  const inputs = {
    firmware: { ...svsm.firmware, gpa: svsm.gpa },
    profile: findProfile('qemu'),
    hashTable: undefined,
    unknownSections,
  };
  ofSvsm(() => addSections(digest, inputs, trace));
  return digest;
}

/**
 * Returns the pages of vCPUs that all start in the SVSM in 32-bit protected mode. The floating-point state is the profile's in
 * both of its fields; sev-snp-measure up to 0.0.13 sets MXCSR and loses FCW (it names the field `fcw`, which its structure does
 * not have), a state that no KVM produces.
 */
export function svsmVcpuPages(
  profile: Profile,
  svsm: Pick<Svsm, 'entry'>,
  signature: number,
  features: bigint,
): VcpuPages {
  if (profile.svsm === 'no') {
    throw new BootsealError('usage', `profile ${profile.name} cannot start an SVSM`, {
      hint: 'use qemu or qemu-legacy',
    });
  }
  const flat = (selector: number, attributes: number): VmsaFields['es'] => ({
    selector,
    attributes,
    limit: 0xffffffff,
    base: 0n,
  });
  const data = flat(0x10, 0xc93);
  const { mxcsr = 0, x87_fcw = 0 } = profile.state('bsp', signature, 0);
  const page = vmsaPage({
    es: data,
    cs: flat(8, 0xc9b),
    ss: data,
    ds: data,
    fs: data,
    cr0: 0x11n,
    rip: BigInt(svsm.entry),
    rdx: BigInt(signature),
    sev_features: features,
    mxcsr,
    x87_fcw,
  });
  return { bsp: page, ap: () => page };
}
