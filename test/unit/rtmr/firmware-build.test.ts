import { describe, expect, it } from 'vitest';
import { readBuild } from '../../../src/core/rtmr/firmware-build.ts';
import { file, firmwareImage, section } from '../../firmware-image.ts';

const text = (ascii: string) => Uint8Array.from(Buffer.from(ascii, 'latin1'));
const driver = (name: string) => file(section(0x10, text('MZ')), { name });
const SECURE_BOOT = 'f0e6a44f-7195-41c3-ac64-54f202cd0a21';
const UI_APP = '462caa21-7614-4503-836e-8ab6f4662331';
const BOOT_MENU = 'eec25bdc-67f2-4d95-b1d5-f81b2039d11d';
const SMBIOS = 'd27fed59-abb4-4fed-bead-2a878c7e4a7e';

const read = (words: readonly string[], drivers: readonly string[] = []) => {
  const { profiles, ...rest } = readBuild(
    firmwareImage({}, { code: text(`MZ ${words.join(' ')}`), more: drivers.map(driver) }),
  );
  return { profiles: profiles.map(({ name }) => name), ...rest };
};
const nothing = { measures: false, secureBoot: false, onlyUiApp: false, fwCfg: false, smbios: false };

describe('what a build measures', () => {
  it('is told by words of its code and by its drivers', () => {
    expect(read([])).toEqual({ profiles: ['edk2-202211', 'edk2-202411'], ...nothing });
    expect(read(['TdxTable\0', 'QEMU FW CFG\0'])).toMatchObject({ ...nothing, measures: true, fwCfg: true });
    expect(read([], [SECURE_BOOT, SMBIOS])).toMatchObject({ ...nothing, secureBoot: true, smbios: true });
    expect(read([], [UI_APP])).toMatchObject({ ...nothing, onlyUiApp: true });
    expect(read([], [UI_APP, BOOT_MENU])).toMatchObject(nothing);
  });

  it('tells the profiles that it can be of', () => {
    expect(read(['etc/boot/\0', ' initrd=initrd\0']).profiles).toEqual(['edk2-202502']);
    expect(read(['etc/boot/\0', 'initrd=initrd \0']).profiles).toEqual(['edk2-202508']);
    expect(read(['etc/boot-menu-wait\0', ' initrd=initrd\0']).profiles).toEqual(['edk2-202211', 'edk2-202411']);
    expect(read(['initrd=initrd \0']).profiles).toEqual([]);
  });
});
