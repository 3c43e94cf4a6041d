/**
 * @module Another profile: what was found is exactly what another kind of host adds. Decided from the profiles themselves, so that a
 * new one is known here as soon as it is described.
 */
import { PROFILES, type Profile, profileVmsa } from '../measurement/profiles.ts';
import { svsmVcpuPages } from '../measurement/svsm.ts';
import { Vmsa } from '../measurement/vmsa.ts';
import { fieldText, VMSA_FIELDS } from '../measurement/vmsa-fields.ts';
import type { AccountStep, LaunchAccount } from './account.ts';
import type { Cause, CauseRule } from './cause.ts';
import type { Difference } from './difference.ts';

/** What one kind of evidence says: which profiles it fits, and the differences that come of them. */
interface Evidence {
  readonly fits: readonly Profile[];
  readonly explains: readonly Difference[];
}

/** Names the profiles that what was found fits, when the expected one is none of them. */
export const profileCause: CauseRule = (left, { expected, found }) => {
  const own = PROFILES.find(({ name }) => name === expected.profile);
  if (own === undefined) return [];
  const evidence = [
    cpuState(own, found, left),
    addresses(found, left),
    secMem(expected, found, left),
    cpuidPlace(expected, found, left),
  ];
  const known = evidence.filter((one) => one !== undefined);
  const fits = PROFILES.filter((profile) => known.every((one) => one.fits.includes(profile)));
  const explains = known.flatMap((one) => (one.fits.includes(own) ? [] : one.explains));
  if (fits.length === 0 || fits.includes(own) || explains.length === 0) return [];
  const claimed = fits.filter(({ name }) => name === found.profile);
  return [cause(own, claimed.length === 0 ? fits : claimed, explains)];
};

function cause(own: Profile, fits: readonly Profile[], explains: readonly Difference[]): Cause {
  const described = fits.map(({ name, describes }) => `${name} (${describes})`).join(', or ');
  return {
    name: 'profile',
    because: `what was found is what a host of profile ${described} adds, and ${own.name} was expected`,
    attempt: `--profile ${fits.map(({ name }) => name).join(', or --profile ')}`,
    explains,
  };
}

/** The pages of the vCPUs, held against those of each profile with the same CPU, features and start of other processors. */
function cpuState(own: Profile, { vmsas }: LaunchAccount, left: readonly Difference[]): Evidence | undefined {
  if (vmsas === undefined) return undefined;
  const pages = vmsas.pages.slice(0, 2);
  const fits = PROFILES.filter((profile) =>
    [alike, inSvsm].some((like) => pages.every((page, i) => isSame(like(profile, i, page), page, vmsas.told))),
  );
  const [profile] = fits;
  if (profile === undefined) return { fits: PROFILES, explains: [] };
  const byProfile = (name: string, vcpu: number) => {
    const page = vmsas.pages[vcpu];
    const field = VMSA_FIELDS.find((one) => one.name === name);
    if (page === undefined || field === undefined) return false;
    if (name === 'rdx' && !(own.cpuMatters && profile.cpuMatters)) return true;
    return fieldText(alike(own, vcpu, page), field) !== fieldText(page, field);
  };
  const explains = left.filter(({ kind, name, vcpu }) => kind === 'vmsa-field' && byProfile(name, vcpu?.first ?? 0));
  return { fits, explains };
}

/** The page that a host of `profile` makes for a vCPU with the CPU, features and start of another page. */
export function alike(profile: Profile, vcpu: number, page: Uint8Array): Uint8Array {
  const { rdx, sev_features: features, cs, rip } = Vmsa.unpack(page);
  const [signature, resetAddress] = [Number(rdx & 0xffffffffn), Number((cs.base + rip) & 0xffffffffn)];
  return profileVmsa(profile, vcpu === 0 ? 'bsp' : 'ap', { signature, features, resetAddress });
}

/** The same of a vCPU that starts in an SVSM; undefined for hosts that start none. */
function inSvsm(profile: Profile, _vcpu: number, page: Uint8Array): Uint8Array | undefined {
  if (profile.svsm === 'no') return undefined;
  const { rdx, sev_features: features, rip } = Vmsa.unpack(page);
  const [signature, entry] = [Number(rdx & 0xffffffffn), Number(rip & 0xffffffffn)];
  return svsmVcpuPages(profile, { entry }, signature, features).bsp;
}

function isSame(page: Uint8Array | undefined, other: Uint8Array, length: number): boolean {
  if (page === undefined) return false;
  for (let i = 0; i < length; i++) if (page[i] !== other[i]) return false;
  return true;
}

function addresses({ vcpuSteps }: LaunchAccount, left: readonly Difference[]): Evidence | undefined {
  const gpa = vcpuSteps?.[0]?.gpa;
  if (gpa === undefined) return undefined;
  const fits = PROFILES.filter(({ vmsaGpa }) => vmsaGpa === gpa);
  return { fits, explains: left.filter(({ kind }) => kind === 'vmsa-address') };
}

const SEC_MEM = 'SNP_SEC_MEM';

function secMem(
  { steps = [] }: LaunchAccount,
  { steps: found = [] }: LaunchAccount,
  left: readonly Difference[],
): Evidence | undefined {
  const types = steps
    .filter(({ name }) => name === SEC_MEM)
    .flatMap(({ gpa }) => found.find((one) => one.gpa === gpa)?.type ?? []);
  const [type] = types;
  if (type === undefined || types.some((one) => one !== type)) return undefined;
  const explains = left.filter(({ kind, name }) => kind === 'step-type' && name === SEC_MEM);
  return { fits: PROFILES.filter((profile) => profile.secMem === type), explains };
}

/** Whether the CPUID page alone has moved, to the end or from there. */
function cpuidPlace(
  { steps = [] }: LaunchAccount,
  { steps: found = [] }: LaunchAccount,
  left: readonly Difference[],
): Evidence | undefined {
  const isLast = (all: readonly AccountStep[]) => all.at(-1)?.type === 'cpuid';
  const places = (all: readonly AccountStep[]) =>
    all
      .filter(({ type }) => type !== 'cpuid')
      .map(({ gpa }) => gpa)
      .slice(1)
      .join();
  const explains = left.filter(({ kind }) => kind === 'step-order');
  if (explains.length === 0 || isLast(steps) === isLast(found) || places(steps) !== places(found)) return undefined;
  return { fits: PROFILES.filter(({ cpuidLast }) => cpuidLast === isLast(found)), explains };
}
