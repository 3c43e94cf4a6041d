/** @module CPU state, vCPU by vCPU and field by field. */
import { fieldText, VMSA_FIELDS, type VmsaField } from '../measurement/vmsa-fields.ts';
import type { VmsaAccount } from './account.ts';
import type { Difference } from './difference.ts';

/** What several vCPUs have in common. */
interface Seen {
  readonly field: VmsaField;
  readonly expected: string;
  /** Absent for all values that come after many others. */
  readonly found: string | undefined;
  readonly first: number;
  count: number;
}

/** So many values of a field are told apart: guests have one or two, and random bytes as many as vCPUs. */
const MOST_VALUES = 16;

/** Returns the fields that differ, those of the boot processor first; what other vCPUs have alike is told once. */
export function compareVmsas(expected: VmsaAccount, found: VmsaAccount): readonly Difference[] {
  const told = Math.min(expected.told, found.told);
  const fields = VMSA_FIELDS.filter(({ at, size }) => at + size <= told);
  const bsp = new Map<string, Map<string, Seen>>();
  const others = new Map<string, Map<string, Seen>>();
  let last: { readonly pages: readonly unknown[]; readonly differing: readonly VmsaField[] } | undefined;
  for (const [vcpu, page] of expected.pages.entries()) {
    const other = found.pages[vcpu];
    if (other === undefined) break;
    // Pages of a plan are one array for all vCPUs but the first.
    if (last === undefined || last.pages[0] !== page || last.pages[1] !== other) {
      last = { pages: [page, other], differing: fields.filter((field) => differs(page, other, field)) };
    }
    for (const field of last.differing) note(vcpu === 0 ? bsp : others, vcpu, field, page, other);
  }
  return [...bsp.values(), ...others.values()]
    .flatMap((values) => [...values.values()])
    .map(({ field, first, count, ...texts }) => ({
      kind: 'vmsa-field',
      name: field.name,
      vcpu: { first, count },
      expected: texts.expected,
      found: texts.found,
    }));
}

function differs(page: Uint8Array, other: Uint8Array, { at, size }: VmsaField): boolean {
  for (let i = at; i < at + size; i++) if (page[i] !== other[i]) return true;
  return false;
}

function note(
  seen: Map<string, Map<string, Seen>>,
  vcpu: number,
  field: VmsaField,
  page: Uint8Array,
  other: Uint8Array,
): void {
  const values = seen.get(field.name) ?? new Map<string, Seen>();
  seen.set(field.name, values);
  const [expected, found] = [fieldText(page, field), fieldText(other, field)];
  const isMore = values.size >= MOST_VALUES && !values.has(`${expected} ${found}`);
  const key = isMore ? expected : `${expected} ${found}`;
  const known = values.get(key);
  if (known !== undefined) known.count++;
  else values.set(key, { field, expected, found: isMore ? undefined : found, first: vcpu, count: 1 });
}
