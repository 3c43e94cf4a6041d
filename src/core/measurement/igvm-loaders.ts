/**
 * @module What the loaders of IGVM files make of one: QEMU, and the two programs that predict digests, which disagree with it and
 * with each other. Read in QEMU backends/igvm.c and target/i386/sev.c (1c980ea), COCONUT SVSM tools/igvmmeasure (f4bc4bc) and
 * microsoft/igvm igvm/src/measurement (e6c3ff1).
 */
import type { Directive, InsertDirective, PageDirective, VcpuDirective } from '../igvm/directives.ts';
import type { IgvmFile } from '../igvm/file.ts';
import { igvmStop } from './igvm-stop.ts';
import { vcpusOfKvm } from './igvm-vcpus.ts';
import { qemuStopsAtVmsa } from './igvm-vmsa.ts';

/** Who loads the file, or predicts what its digest is. */
export type IgvmLoader = 'qemu' | 'coconut' | 'microsoft';

/** The platforms whose digests are known. */
export type IgvmPlatformName = 'snp' | 'sev' | 'sev-es' | 'tdx';

/** A run of bytes that enters the digest, whole pages. */
export interface Piece {
  /** What it is for a person. */
  readonly name: string;
  readonly type: 'normal' | 'zero' | 'unmeasured' | 'secrets' | 'cpuid' | 'vmsa';
  readonly gpa: bigint;
  /** Bytes. */
  readonly length: number;
  /** The first bytes of it, the rest being zeros; undefined where the contents do not count. */
  readonly contents: Uint8Array | undefined;
}

/** What a loader is asked. */
export interface Loading {
  readonly file: IgvmFile;
  readonly platform: IgvmPlatformName;
  /** The bit of the platform in the masks of headers. */
  readonly mask: number;
  /** Whether pages without data are SNP's ZERO pages (igvmmeasure --native-zero). */
  readonly nativeZero: boolean;
}

/** The platforms that a loader loads or predicts. */
export const LOADERS: Readonly<Record<IgvmLoader, readonly IgvmPlatformName[]>> = {
  qemu: ['snp', 'sev-es', 'sev'],
  coconut: ['snp', 'sev-es', 'sev'],
  microsoft: ['snp', 'tdx'],
};

const PAGE = 4096;
const LARGE_PAGE = 2 ** 21;
const NOTHING = new Uint8Array();

/** Returns what a loader puts into the digest, in its order. Throws `format` for a file that it stops at, naming the loader. */
export function piecesOf(loader: IgvmLoader, loading: Loading): Piece[] {
  return (loader === 'qemu' ? qemuOrder(loading) : loading.file.directives).flatMap((directive) => {
    const counts = (directive.mask & loading.mask) !== 0;
    switch (directive.kind) {
      case 'page':
        return counts ? page(loader, loading, directive) : [];
      case 'insert':
        return counts ? insert(loader, loading, directive) : [];
      case 'vcpu':
        return vcpu(loader, loading, directive);
      default:
        return [];
    }
  });
}

/** Says whether the platform is SEV or SEV-ES, which know no types of pages. */
export function isSev({ platform }: Pick<Loading, 'platform'>): boolean {
  return platform === 'sev' || platform === 'sev-es';
}

function page(loader: IgvmLoader, loading: Loading, directive: PageDirective): Piece[] {
  const { gpa, data, large, shared, unmeasured, type } = directive;
  if (loader === 'microsoft' && shared) return [];
  if (loader === 'coconut' && large && data !== undefined) {
    throw igvmStop('coconut', `a page of 2 MiB with data at 0x${gpa.toString(16)}`);
  }
  const length = large && loader !== 'microsoft' ? LARGE_PAGE : PAGE;
  const contents = data ?? NOTHING;
  if (isSev(loading)) return sevPage(loader, directive, { name: 'page data', type: 'normal', gpa, length, contents });
  if (type !== 'normal' && loading.platform === 'snp') return [{ name: type, type, gpa, length, contents: undefined }];
  if (unmeasured) return [{ name: 'page data', type: 'unmeasured', gpa, length, contents: undefined }];
  if (data === undefined && loading.nativeZero)
    return [{ name: 'page data', type: 'zero', gpa, length, contents: undefined }];
  return [{ name: 'page data', type: 'normal', gpa, length, contents }];
}

/** SEV and SEV-ES have no page types: a page is hashed or not. */
function sevPage(loader: IgvmLoader, { type, unmeasured, data, gpa }: PageDirective, piece: Piece): Piece[] {
  if (loader === 'coconut') return data === undefined ? [] : [piece];
  if (type !== 'normal') throw igvmStop('qemu', `a ${type} page at 0x${gpa.toString(16)}, which only SNP has`);
  return unmeasured ? [] : [piece];
}

function insert(loader: IgvmLoader, loading: Loading, { gpa, area, size }: InsertDirective): Piece[] {
  if (isSev(loading)) return [];
  const length = loader === 'coconut' ? PAGE : size;
  return [{ name: `parameters ${area}`, type: 'unmeasured', gpa, length, contents: undefined }];
}

function vcpu(loader: IgvmLoader, loading: Loading, directive: VcpuDirective): Piece[] {
  if (!counts(loader, loading, directive)) return [];
  const { gpa, vcpu: number, page } = directive;
  return [{ name: `vcpu ${number}`, type: 'vmsa', gpa, length: PAGE, contents: page }];
}

/** QEMU looks at each VMSA when it reads it, also at those that another one for the vCPU then replaces. */
function checkForQemu({ platform }: Loading, { gpa, vcpu: number, page }: VcpuDirective): void {
  if (platform !== 'snp' && platform !== 'sev-es') {
    throw igvmStop('qemu', `CPU state for vCPU ${number}, which plain SEV does not take`);
  }
  const stop = qemuStopsAtVmsa(platform, gpa, page);
  if (stop !== undefined) throw igvmStop('qemu', stop);
}

/** microsoft/igvm makes a VMSA of the CPU state of exactly these platforms; igvmmeasure then measures each of them, whatever its mask. */
function counts(loader: IgvmLoader, { file, mask, platform }: Loading, directive: VcpuDirective): boolean {
  if (platform === 'tdx') return false;
  if (loader !== 'coconut') return (directive.mask & mask) !== 0;
  return file.platforms.some((one) => one.mask === directive.mask && (one.type === 'snp' || one.type === 'sev-es'));
}

/**
 * Returns the directives as QEMU hands them to KVM: a run of pages only when another begins or the file ends, so after the parameter
 * areas that are inserted meanwhile, and the CPU state when the launch ends, by vCPU, the last where one has several.
 */
function qemuOrder(loading: Loading): readonly Directive[] {
  const { file, mask } = loading;
  const order: Directive[] = [];
  let run: PageDirective[] = [];
  for (const directive of file.directives) {
    if ((directive.mask & mask) === 0) continue;
    if (directive.kind === 'vcpu') checkForQemu(loading, directive);
    else if (directive.kind === 'page') {
      const last = run[run.length - 1];
      if (last !== undefined && !continues(last, directive)) {
        order.push(...run);
        run = [];
      }
      run.push(directive);
    } else order.push(directive);
  }
  return [...order, ...run, ...vcpusOfKvm(loading)];
}

/** QEMU's qigvm_process_mem_page and qigvm_page_attrs_equal. */
function continues(last: PageDirective, next: PageDirective): boolean {
  return (
    next.index === last.index + 1 &&
    next.gpa === last.gpa + BigInt(last.large ? LARGE_PAGE : PAGE) &&
    next.mask === last.mask &&
    next.type === last.type &&
    next.large === last.large &&
    next.unmeasured === last.unmeasured &&
    next.shared === last.shared &&
    (next.data === undefined) === (last.data === undefined)
  );
}
