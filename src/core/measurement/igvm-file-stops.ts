/** @module At what of a whole IGVM file loaders stop, whatever its pages and VMSAs are. */
import type { IgvmLoader, Loading } from './igvm-loaders.ts';
import { igvmStop } from './igvm-stop.ts';
import { pageAddedTwice } from './igvm-twice.ts';

/** One reason. */
interface FileStop {
  readonly loader: IgvmLoader;
  /** At what the loader stops, and how that is a difference; undefined where it goes on. */
  find(loading: Loading): { readonly what: string; readonly difference: string } | undefined;
}

/** The header types that QEMU has handlers for (backends/igvm.c), and that of platforms; it looks at no mask before. */
const QEMU_TYPES = [0x1, 0x101, 0x301, 0x302, 0x303, 0x304, 0x305, 0x307, 0x309, 0x30b, 0x30c, 0x312, 0x313];

const FIRST_DIRECTIVE = 0x301;
const CORIM = [0x104, 0x105];

const STOPS: readonly FileStop[] = [
  {
    loader: 'qemu',
    find({ file: { types } }) {
      const names = types.filter((type) => !QEMU_TYPES.includes(type)).map((type) => `0x${type.toString(16)}`);
      if (names.length === 0) return undefined;
      const list = names.join(', ');
      return {
        what: `header types that it has no handler for: ${list}`,
        difference: `header types that QEMU has no handler for (${list}): QEMU stops`,
      };
    },
  },
  {
    // Read in the Cargo.toml of COCONUT SVSM (f4bc4bc) and the features of microsoft/igvm (e6c3ff1).
    loader: 'coconut',
    find: ({ file: { types } }) =>
      types.some((type) => CORIM.includes(type))
        ? {
            what: 'CoRIM headers: its IGVM library is built without them',
            difference: 'CoRIM headers: igvmmeasure stops',
          }
        : undefined,
  },
  {
    loader: 'qemu',
    find: ({ file, mask }) =>
      file.directives.filter((one) => one.kind === 'id-block' && (one.mask & mask) !== 0).length > 1
        ? {
            what: 'several SNP ID blocks',
            difference: 'several SNP ID blocks: QEMU stops, igvmmeasure takes the last',
          }
        : undefined,
  },
  {
    loader: 'qemu',
    find: ({ file: { types } }) =>
      types.some((type) => type >= FIRST_DIRECTIVE)
        ? undefined
        : { what: 'a file without directives', difference: 'no directives: QEMU stops' },
  },
  {
    // sev_gmem_post_populate (Linux arch/x86/kvm/svm/sev.c). SEV and SEV-ES measure such a page each time.
    loader: 'qemu',
    find(loading) {
      const address = loading.platform === 'snp' ? pageAddedTwice(loading) : undefined;
      if (address === undefined) return undefined;
      return {
        what: `the page at 0x${address.toString(16)}, which is added twice: KVM refuses it`,
        difference: 'page added twice: QEMU stops, since KVM refuses it, the others count it each time',
      };
    },
  },
  {
    loader: 'microsoft',
    find: ({ file, mask, platform }) =>
      platform !== 'snp' || file.policies.some((policy) => (policy.mask & mask) !== 0)
        ? undefined
        : {
            what: 'a file without a guest policy for SNP',
            difference: 'no guest policy for SNP: microsoft/igvm stops, QEMU and igvmmeasure go on',
          },
  },
];

/** Throws `format` where the loader stops at the file. */
export function checkFile(loader: IgvmLoader, loading: Loading): void {
  for (const stop of STOPS) {
    const found = stop.loader === loader ? stop.find(loading) : undefined;
    if (found !== undefined) throw igvmStop(loader, found.what);
  }
}

/** Returns what of the file one of the loaders stops at. */
export function differencesOfFile(loading: Loading): readonly string[] {
  return STOPS.flatMap((stop) => stop.find(loading)?.difference ?? []);
}
