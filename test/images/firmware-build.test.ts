import { expect, it } from 'vitest';
import { readBuild } from '../../src/core/rtmr/firmware-build.ts';
import { fixture } from '../fixtures.ts';

it.each([
  [
    'OVMF_2022.11-6+deb12u2.fd',
    { measures: false, secureBoot: true, onlyUiApp: true, fwCfg: false, smbios: false },
    'edk2-202211 edk2-202411',
  ],
  [
    'OVMF_2025.02-8+deb13u1.fd',
    { measures: true, secureBoot: false, onlyUiApp: true, fwCfg: false, smbios: false },
    'edk2-202502',
  ],
  [
    'OVMF_2026.08.fd',
    { measures: true, secureBoot: false, onlyUiApp: false, fwCfg: true, smbios: true },
    'edk2-202508',
  ],
  [
    'OVMF.inteltdx.ms_2026.08.fd',
    { measures: true, secureBoot: true, onlyUiApp: false, fwCfg: true, smbios: true },
    'edk2-202508',
  ],
])('%s', (name, expected, profiles) => {
  const { profiles: found, ...rest } = readBuild(fixture(`debian-ovmf/${name}`));
  expect(rest).toEqual(expected);
  expect(found.map((profile) => profile.name).join(' ')).toBe(profiles);
});
