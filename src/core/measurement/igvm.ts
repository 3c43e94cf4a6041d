/** @module The digest of a guest that is started from an IGVM file, and where those who load or predict it disagree. */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import type { IdBlockDirective } from '../igvm/directives.ts';
import type { IgvmFile } from '../igvm/file.ts';
import { igvmDifferences } from './igvm-differences.ts';
import { digestOf, type IgvmStep } from './igvm-digest.ts';
import { checkFile } from './igvm-file-stops.ts';
import { type FpuReset, fpuReset } from './igvm-fpu.ts';
import { type IgvmLoader, type IgvmPlatformName, LOADERS, type Loading, type Piece, piecesOf } from './igvm-loaders.ts';
import { policyOf } from './igvm-policy.ts';
import { loaderName } from './igvm-stop.ts';
import { igvmWarnings } from './igvm-warnings.ts';

/** A guest to measure. */
export interface IgvmRequest {
  readonly file: IgvmFile;
  /** Default: the first of snp, sev-es, sev and tdx that the file is for, as QEMU chooses. */
  readonly platform?: IgvmPlatformName | undefined;
  /** Default: qemu, and microsoft for tdx. */
  readonly loader?: IgvmLoader | undefined;
  /** Whether pages without data are SNP's ZERO pages; default: no. Only with `coconut`. */
  readonly nativeZero?: boolean | undefined;
  /** Whether to keep every step; default: no. */
  readonly plan?: boolean | undefined;
}

/** What another loader makes of the same file, where that is something else. */
export interface OtherLoader {
  readonly loader: IgvmLoader;
  /** Absent when it stops at the file. */
  readonly digest: Uint8Array | undefined;
  /** At what it stops. */
  readonly stops: string | undefined;
}

/** A guest's digest: 32 bytes for SEV and SEV-ES, 48 for SNP and TDX (MRTD). */
export interface IgvmMeasured {
  readonly platform: IgvmPlatformName;
  readonly loader: IgvmLoader;
  readonly digest: Uint8Array;
  /** Present when the request asks for the plan. */
  readonly plan: readonly IgvmStep[] | undefined;
  /** The policy that the file asks for, where it does: of several the one that the loader has; not 0 for QEMU on SNP. */
  readonly policy: bigint | undefined;
  /** The VMSAs that are in the digest, 4096 bytes each, in its order: with `qemu` as KVM has them. */
  readonly vmsas: readonly Uint8Array[];
  /** The SNP ID block of the file for the platform: the digest that it demands. */
  readonly idBlock: Uint8Array | undefined;
  /** What in the file the loaders treat differently; empty where all agree. */
  readonly differences: readonly string[];
  /** Those with another digest, or none. */
  readonly others: readonly OtherLoader[];
  /** With `qemu` the digest of a host whose KVM keeps the floating-point control words of a reset, where the VMSAs have others. */
  readonly ifKvmResetsFpu: FpuReset | undefined;
  /** What makes a host report another digest, or start no guest, though the file does not say so. */
  readonly warnings: readonly string[];
}

const PREFERENCE: readonly IgvmPlatformName[] = ['snp', 'sev-es', 'sev', 'tdx'];

/**
 * Measures a guest. Throws `usage` for a platform that the file is not for or the loader does not know, `format` for a file that the
 * loader stops at and for more than 1 GiB of pages.
 */
export function measureIgvm(request: IgvmRequest, hashes: Hashes): IgvmMeasured {
  const { file } = request;
  const platform = request.platform ?? preferred(file);
  const mask = file.platforms.find(({ type }) => type === platform)?.mask;
  if (mask === undefined) throw notFor(file, platform);
  const loader = request.loader ?? (platform === 'tdx' ? 'microsoft' : 'qemu');
  checkLoader(loader, platform, request.nativeZero === true);
  const loading: Loading = { file, platform, mask, nativeZero: request.nativeZero === true };
  const steps: IgvmStep[] = [];
  const pieces = checkedPieces(loader, loading);
  const digest = digestOf(platform, pieces, hashes, request.plan === true ? steps : undefined);
  const differences = igvmDifferences(loading);
  const vmsas = pieces.flatMap(({ type, contents }) => (type === 'vmsa' && contents !== undefined ? [contents] : []));
  const idBlock = idBlockOf(loading)?.block.digest;
  const policy = policyOf(loader, loading);
  const ifKvmResetsFpu = loader === 'qemu' ? fpuReset(platform, pieces, hashes) : undefined;
  return {
    platform,
    loader,
    digest,
    plan: request.plan === true ? steps : undefined,
    policy,
    vmsas,
    idBlock,
    differences,
    others: differences.length === 0 ? [] : otherLoaders({ loader, pieces, digest }, loading, hashes),
    ifKvmResetsFpu,
    warnings: igvmWarnings(loading, { loader, digest, vmsas, idBlock, policy, ifKvmResetsFpu }),
  };
}

function checkedPieces(loader: IgvmLoader, loading: Loading): readonly Piece[] {
  checkFile(loader, loading);
  return piecesOf(loader, loading);
}

/** What one loader makes of the file. */
interface Outcome {
  readonly loader: IgvmLoader;
  readonly pieces: readonly Piece[];
  readonly digest: Uint8Array;
}

function otherLoaders(own: Outcome, loading: Loading, hashes: Hashes): OtherLoader[] {
  const others: OtherLoader[] = [];
  const known: Outcome[] = [own];
  for (const loader of Object.keys(LOADERS) as IgvmLoader[]) {
    if (loader === own.loader || !LOADERS[loader].includes(loading.platform)) continue;
    try {
      const pieces = checkedPieces(loader, { ...loading, nativeZero: false });
      const digest =
        known.find((one) => alike(one.pieces, pieces))?.digest ?? digestOf(loading.platform, pieces, hashes);
      known.push({ loader, pieces, digest });
      if (digest.some((byte, i) => byte !== own.digest[i])) others.push({ loader, digest, stops: undefined });
    } catch (error) {
      if (!(error instanceof BootsealError)) throw error;
      others.push({ loader, digest: undefined, stops: error.message.replace(/^IGVM: /, '') });
    }
  }
  return others;
}

/** Tells whether both make the same digest without hashing them; equal contents are those of one directive. */
function alike(some: readonly Piece[], others: readonly Piece[]): boolean {
  return some.length === others.length && some.every((piece, i) => samePiece(piece, others[i]));
}

function samePiece({ type, gpa, length, contents }: Piece, other: Piece | undefined): boolean {
  return type === other?.type && gpa === other.gpa && length === other.length && contents === other.contents;
}

/** The last counts for igvmmeasure (do_measure); QEMU stops where there are several. */
function idBlockOf({ file, mask, platform }: Loading): IdBlockDirective | undefined {
  if (platform !== 'snp') return undefined;
  return file.directives.findLast(
    (directive): directive is IdBlockDirective => directive.kind === 'id-block' && (directive.mask & mask) !== 0,
  );
}

function preferred(file: IgvmFile): IgvmPlatformName {
  const found = PREFERENCE.find((name) => file.platforms.some(({ type }) => type === name));
  if (found === undefined) throw notFor(file, 'snp');
  return found;
}

function notFor(file: IgvmFile, platform: IgvmPlatformName): BootsealError {
  const types = file.platforms.map(({ type }) => type);
  const measured = PREFERENCE.filter((name) => types.includes(name));
  return new BootsealError('usage', `the IGVM file is not for ${platform}: it is for ${types.join(', ')}`, {
    hint: `${measured.length === 0 ? '' : `take ${measured.join(', ')}, or `}build the file for yours`,
  });
}

function checkLoader(loader: IgvmLoader, platform: IgvmPlatformName, nativeZero: boolean): void {
  if (!LOADERS[loader].includes(platform)) {
    const able = (Object.keys(LOADERS) as IgvmLoader[]).filter((one) => LOADERS[one].includes(platform));
    throw new BootsealError('usage', `${loaderName(loader)} has no digest for ${platform}`, {
      hint: `leave --as out, or take one that has: ${able.join(', ')}`,
    });
  }
  if (nativeZero && (loader !== 'coconut' || platform !== 'snp')) {
    throw new BootsealError(
      'usage',
      'native zero pages go with coconut and snp alone: others load zeros as plain pages',
      {
        hint: 'give --as coconut --platform snp with it, or leave it out',
      },
    );
  }
}
