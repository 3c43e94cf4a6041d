/**
 * @module Another profile: in all in which it differs from the expected one, what was found is as another kind of host adds it. Decided
 * from the profiles themselves, so that a new one is known here as soon as it is described.
 */
import { PROFILES, type Profile, profileVmsa, SNP_MEASURE_SVSM } from '../measurement/profiles.ts';
import { svsmVcpuPages } from '../measurement/svsm.ts';
import { Vmsa } from '../measurement/vmsa.ts';
import { fieldText, VMSA_FIELDS, type VmsaField } from '../measurement/vmsa-fields.ts';
import type { AccountStep, LaunchAccount, VmsaAccount } from './account.ts';
import type { Cause, CauseRule } from './cause.ts';
import type { Difference } from './difference.ts';

/** What one kind of evidence says of profiles. */
interface Evidence {
  /** Whether what was found is as `profile` has it wherever that is not as the expected one has it. */
  allows(profile: Profile): boolean;
  /** The differences that come of it. */
  explains(profile: Profile): readonly Difference[];
}

/** A profile, and what it explains. */
interface Candidate {
  readonly profile: Profile;
  readonly explains: readonly Difference[];
}

/** Names the profile that explains the most, or those that explain the same. What else differs is left to other causes. */
export const profileCause: CauseRule = (left, { expected, found }) => {
  const own = profileOf(expected);
  if (own === undefined) return [];
  const evidence = [
    cpuState(own, found, left),
    addresses(own, found, left),
    secMem(own, expected, found, left),
    cpuidPlace(own, expected, found, left),
  ].filter((one) => one !== undefined);
  const candidates = PROFILES.filter((profile) => profile !== own && evidence.every((one) => one.allows(profile)))
    .map((profile) => ({ profile, explains: evidence.flatMap((one) => one.explains(profile)) }))
    .filter(({ explains }) => explains.length > 0);
  const most = Math.max(0, ...candidates.map(({ explains }) => explains.length));
  const [first, ...others] = candidates.filter(({ explains }) => explains.length === most);
  if (first === undefined) return [];
  const alsoFit = others.filter(({ explains }) => explains.every((one) => first.explains.includes(one)));
  return [cause(own, named([first, ...alsoFit], found), first.explains, left)];
};

/** Of several the one that a plan claims for itself. */
function named(fits: readonly Candidate[], { profile: claimed }: LaunchAccount): readonly Profile[] {
  const profiles = fits.map(({ profile }) => profile);
  const own = profiles.filter(({ name }) => name === claimed);
  return own.length === 0 ? profiles : own;
}

function cause(
  own: Profile,
  fits: readonly Profile[],
  explains: readonly Difference[],
  left: readonly Difference[],
): Cause {
  const described = fits.map(({ name, describes }) => `${name} (${describes})`).join(', or ');
  const isOther = (one: Difference) => one.kind === 'vmsa-field' && !explains.includes(one);
  const where = explains.some(({ kind }) => kind === 'vmsa-field') && left.some(isOther) ? ' in these fields' : '';
  return {
    name: 'profile',
    because: `what was found is${where} what a host of profile ${described} adds, and ${own.name} was expected`,
    attempt: `--profile ${fits.map(({ name }) => name).join(', or --profile ')}`,
    explains,
  };
}

/** The profile that an account claims or, where another version of bootseal has a name of its own for it, that its vCPUs are of. */
function profileOf({ profile: claimed, vmsas, vcpuSteps }: LaunchAccount): Profile | undefined {
  const known = [...PROFILES, SNP_MEASURE_SVSM].find(({ name }) => name === claimed);
  if (known !== undefined || vmsas === undefined) return known;
  const gpa = vcpuSteps?.[0]?.gpa;
  const isOf = (profile: Profile) =>
    STARTS.some((start) => vmsas.pages.slice(0, 2).every((page, i) => isSame(start(profile, i, page), page)));
  return PROFILES.find((profile) => (gpa === undefined || profile.vmsaGpa === gpa) && isOf(profile));
}

/** Where a profile's pages are not as the expected one's. */
interface Marks {
  readonly start: Start;
  /** Names of fields, of the boot processor and of any other. */
  readonly names: readonly ReadonlySet<string>[];
}

/** The pages of the vCPUs, held against those of each profile with the same CPU, features and start of other processors. */
function cpuState(own: Profile, { vmsas }: LaunchAccount, left: readonly Difference[]): Evidence | undefined {
  if (vmsas === undefined) return undefined;
  const marks = new Map(PROFILES.map((profile) => [profile, marksOf(own, profile, vmsas)]));
  const explains = (profile: Profile) => {
    const { start, names } = marks.get(profile) ?? { start: alike, names: [] };
    return left.filter(({ kind, name, vcpu, found }) => {
      const number = vcpu?.first ?? 0;
      const field = VMSA_FIELDS.find((one) => one.name === name);
      const page = vmsas.pages[number];
      if (kind !== 'vmsa-field' || field === undefined || page === undefined) return false;
      const model = names[Math.min(number, 1)]?.has(name) ? start(profile, number, page) : undefined;
      return model !== undefined && fieldText(model, field) === found;
    });
  };
  return { allows: (profile) => marks.get(profile) !== undefined, explains };
}

/** Returns the marks of a profile; undefined unless all of them were found. */
function marksOf(own: Profile, profile: Profile, { pages, told }: VmsaAccount): Marks | undefined {
  const fields = VMSA_FIELDS.filter(({ at, size }) => at + size <= told);
  for (const start of STARTS) {
    const names = pages.slice(0, 2).map((page, vcpu) => {
      const model = start(profile, vcpu, page);
      const other = start(own, vcpu, page) ?? alike(own, vcpu, page);
      if (model === undefined) return undefined;
      const differs = (field: VmsaField) => fieldText(model, field) !== fieldText(other, field);
      const marks = fields.filter((field) => (field.name === 'rdx' ? isRdxMark(own, profile, page) : differs(field)));
      const isFound = marks.every((field) => fieldText(model, field) === fieldText(page, field));
      return isFound && hasItsKindOfRdx(own, profile, page) ? new Set(marks.map(({ name }) => name)) : undefined;
    });
    const all = names.filter((one) => one !== undefined);
    if (all.length === names.length) return { start, names: all };
  }
  return undefined;
}

const rdxOf = (profile: Profile) => profile.state('bsp', 0, 0).rdx ?? 0n;

/** RDX of hosts on which it is no signature. */
const NO_SIGNATURES: readonly bigint[] = PROFILES.filter(({ cpuMatters }) => !cpuMatters).map(rdxOf);

/** Whether RDX may be the CPUID signature of a CPU model: of 32 bits, and not what some host has in its place. */
export const isSignature = (rdx: bigint): boolean => rdx < 2n ** 32n && !NO_SIGNATURES.includes(rdx);

/** Models have the signature of the page that was found, so that they do not tell. */
function isRdxMark(own: Profile, profile: Profile, page: Uint8Array): boolean {
  if (profile.cpuMatters) return !own.cpuMatters && isSignature(Vmsa.unpack(page).rdx);
  return own.cpuMatters || rdxOf(own) !== rdxOf(profile);
}

const hasItsKindOfRdx = (own: Profile, profile: Profile, page: Uint8Array) =>
  own.cpuMatters || !profile.cpuMatters || !NO_SIGNATURES.includes(Vmsa.unpack(page).rdx);

/** Makes the page of a profile's vCPU with the CPU, features and start of another page. */
type Start = (profile: Profile, vcpu: number, page: Uint8Array) => Uint8Array | undefined;

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

/** The ways in which vCPUs start. */
const STARTS: readonly Start[] = [alike, inSvsm];

function isSame(page: Uint8Array | undefined, other: Uint8Array): boolean {
  return page?.every((byte, i) => byte === other[i]) === true;
}

/** Of a trait that profiles have, what was found. */
function trait<T>(own: Profile, of: (profile: Profile) => T, found: T, differences: readonly Difference[]): Evidence {
  return {
    allows: (profile) => of(profile) === of(own) || of(profile) === found,
    explains: (profile) => (of(profile) === found && of(own) !== found ? differences : []),
  };
}

function addresses(own: Profile, { vcpuSteps }: LaunchAccount, left: readonly Difference[]): Evidence | undefined {
  const gpa = vcpuSteps?.[0]?.gpa;
  if (gpa === undefined) return undefined;
  const explains = left.filter(({ kind }) => kind === 'vmsa-address');
  return trait(own, ({ vmsaGpa }) => vmsaGpa, gpa, explains);
}

const SEC_MEM = 'SNP_SEC_MEM';

function secMem(
  own: Profile,
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
  return trait<AccountStep['type']>(own, (profile) => profile.secMem, type, explains);
}

/** Whether the CPUID page alone has moved, to the end or from there. */
function cpuidPlace(
  own: Profile,
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
  return trait(own, ({ cpuidLast }) => cpuidLast, isLast(found), explains);
}
