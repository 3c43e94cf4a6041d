/** @module CPU state, vCPU by vCPU and field by field. */
import { fieldText, VMSA_FIELDS, type VmsaField } from '../measurement/vmsa-fields.ts';
import type { VmsaAccount } from './account.ts';
import type { Difference } from './difference.ts';

/** What several vCPUs have in common. */
interface Seen {
  readonly field: VmsaField;
  readonly expected: string;
  readonly found: string;
  readonly first: number;
  count: number;
}

/** Returns the fields that differ, those of the boot processor first; what other vCPUs have alike is told once. */
export function compareVmsas(expected: VmsaAccount, found: VmsaAccount): readonly Difference[] {
  const told = Math.min(expected.told, found.told);
  const fields = VMSA_FIELDS.filter(({ at, size }) => at + size <= told);
  const bsp = new Map<string, Seen>();
  const others = new Map<string, Seen>();
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
  return [...bsp.values(), ...others.values()].map(({ field, first, count, ...texts }) => ({
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

function note(seen: Map<string, Seen>, vcpu: number, field: VmsaField, page: Uint8Array, other: Uint8Array): void {
  const [expected, found] = [fieldText(page, field), fieldText(other, field)];
  const key = `${field.name} ${expected} ${found}`;
  const known = seen.get(key);
  if (known === undefined) seen.set(key, { field, expected, found, first: vcpu, count: 1 });
  else known.count++;
}
