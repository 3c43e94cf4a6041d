/** @module The variables of Secure Boot, which OVMF measures from its variable store (edk2 OvmfPkg/Tcg/TdTcg2Dxe, MeasureAllSecureVariables). */
import type { Hashes } from '../hash.ts';
import { type EfiVariable, VENDOR, variableData } from './efi-variable.ts';
import { EV, type PredictedEvent } from './events.ts';
import type { FirmwareBuild } from './firmware-build.ts';
import { storedVariables } from './variable-store.ts';

/** In the order in which they are measured; an absent one has no data, but for the last, which is then left out. */
const MEASURED = [
  { vendor: VENDOR.global, name: 'PK' },
  { vendor: VENDOR.global, name: 'KEK' },
  { vendor: VENDOR.imageSecurityDatabase, name: 'db' },
  { vendor: VENDOR.imageSecurityDatabase, name: 'dbx' },
] as const;
const TIMESTAMPS = { vendor: VENDOR.imageSecurityDatabase, name: 'dbt' } as const;

/** Whether an enrolled Secure Boot is switched on (edk2 SecurityPkg/Include/Guid/AuthenticatedVariableFormat.h). */
const ENABLE = { vendor: 'f0a30bc7-af08-4556-99c4-001009c93a44', name: 'SecureBootEnable' } as const;

/**
 * Returns the events of the variables, up to the separator. With Secure Boot on there is one more event, of the certificate that
 * vouches for the kernel, which is not predicted. Throws `format` when the CFV is no variable store.
 */
export function secureBootEvents(
  cfv: Uint8Array,
  { secureBoot }: Pick<FirmwareBuild, 'secureBoot'>,
  { sha384 }: Pick<Hashes, 'sha384'>,
): readonly PredictedEvent[] {
  const stored = storedVariables(cfv);
  const dataOf = (wanted: { readonly vendor: string; readonly name: string }) =>
    stored.find(({ vendor, name }) => vendor === wanted.vendor && name === wanted.name)?.data;
  const measured = (variable: EfiVariable): PredictedEvent => ({
    rtmr: 0,
    type: EV.variableDriverConfig,
    name: `variable ${variable.name}`,
    digest: new Uint8Array(sha384(variableData(variable))),
    missing: undefined,
  });
  const on = dataOf(MEASURED[0]) !== undefined && dataOf(ENABLE)?.[0] !== 0;
  const state = secureBoot ? Uint8Array.of(on ? 1 : 0) : new Uint8Array();
  const timestamps = dataOf(TIMESTAMPS);
  return [
    measured({ vendor: VENDOR.global, name: 'SecureBoot', data: state }),
    ...MEASURED.map((variable) => measured({ ...variable, data: dataOf(variable) ?? new Uint8Array() })),
    ...(timestamps === undefined ? [] : [measured({ ...TIMESTAMPS, data: timestamps })]),
    ...(secureBoot && on ? [AUTHORITY] : []),
  ];
}

const AUTHORITY: PredictedEvent = {
  rtmr: 0,
  type: EV.variableAuthority,
  name: 'certificate',
  digest: undefined,
  missing:
    'with Secure Boot on, the certificate that vouches for the kernel is measured as well, which is not predicted',
};
