import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { withQemuHeader } from '../../../src/core/measurement/setup-header.ts';
import type { UsableTdxSection } from '../../../src/core/measurement/tdx-sections.ts';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { type DirectBoot, directBootEvents } from '../../../src/core/rtmr/direct-boot.ts';
import { extendAll } from '../../../src/core/rtmr/events.ts';
import { BOOT_PROFILES, findBootProfile } from '../../../src/core/rtmr/profiles.ts';
import { measuredSmbios } from '../../../src/core/rtmr/smbios.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { acpiFiles, tableLoader } from '../../acpi-files.ts';
import { failure, HINT } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';
import { linuxKernel } from '../../linux-kernel.ts';
import { peProgram } from '../../pe-program.ts';
import { efiProgram, UKI_SECTIONS } from '../../unified-kernel.ts';
import { variableStore } from '../../variable-store.ts';

const text = (ascii: string) => Uint8Array.from(Buffer.from(ascii, 'latin1'));
const hash = (bytes: Uint8Array | string) => createHash('sha384').update(bytes).digest('hex');
const utf16 = (ascii: string) => Buffer.from(ascii, 'utf16le');

const image = variableStore([]);
const section = (name: string, gpa: number, size: number, dataOffset?: number): UsableTdxSection => ({
  name,
  gpa,
  size,
  dataOffset,
  extended: false,
});
const sections = [section('CFV', 0xffc00000, image.length, 0), section('TD_HOB', 0x809000, 0x2000)];
const build = { profiles: [], measures: true, secureBoot: false, onlyUiApp: true, fwCfg: false, smbios: false };

const boot: DirectBoot = {
  image,
  sections,
  build,
  profile: findBootProfile('edk2-202502'),
  kernelHeader: 'unchanged',
  kernel: linuxKernel(),
  initrd: undefined,
  cmdline: text('console=ttyS0'),
  memory: 2 ** 31,
  acpi: acpiFiles(),
  fwCfg: undefined,
  smbios: undefined,
  bootVariables: new Map(),
};

const eventsOf = (over: Partial<DirectBoot> = {}) => directBootEvents({ ...boot, ...over }, nodeHashes);
const named = (over: Partial<DirectBoot> = {}) =>
  eventsOf(over).map(
    ({ rtmr, name, digest }) => [rtmr, name, digest === undefined ? '-' : bytesToHex(digest)] as const,
  );
const digestOf = (name: string, over: Partial<DirectBoot> = {}) => named(over).find((event) => event[1] === name)?.[2];
const initrd = { bytes: 3, sha384: new Uint8Array(nodeHashes.sha384(text('cpio'.slice(1)))) };

describe('the events of a direct boot', () => {
  it('come in the order of a log', () => {
    expect(named({ initrd }).map(([rtmr, name]) => `${rtmr} ${name}`)).toEqual([
      '0 TD HOB',
      '0 CFV',
      '0 variable SecureBoot',
      '0 variable PK',
      '0 variable KEK',
      '0 variable db',
      '0 variable dbx',
      '0 separator',
      '0 etc/table-loader',
      '0 etc/acpi/rsdp',
      '0 etc/acpi/tables',
      '1 kernel',
      '0 variable BootOrder',
      '0 variable Boot0000',
      '1 Calling EFI Application from Boot Option',
      '1 separator',
      '2 load options',
      '2 initrd',
      '1 Exit Boot Services Invocation',
      '1 Exit Boot Services Returned with Success',
    ]);
  });

  it('have the digests of what is given', () => {
    const { loader, rsdp, tables } = acpiFiles();
    expect(digestOf('CFV')).toBe(hash(image));
    expect(digestOf('etc/table-loader')).toBe(hash(loader));
    expect(digestOf('etc/acpi/rsdp')).toBe(hash(rsdp));
    expect(digestOf('etc/acpi/tables')).toBe(hash(tables));
    expect(digestOf('separator')).toBe(hash(new Uint8Array(4)));
    expect(digestOf('Exit Boot Services Invocation')).toBe(hash('Exit Boot Services Invocation'));
    expect(digestOf('initrd', { initrd })).toBe(bytesToHex(initrd.sha384));
  });

  it('have the items of fw_cfg and the SMBIOS tables where the firmware measures them', () => {
    const smbios = fixture('smbios/smbios-3.0.bin');
    const host = { fwCfg: { files: new Map([['bootorder', text('/rom\0')]]), bootMenu: false }, smbios };
    const newer = named({ ...host, build: { ...build, fwCfg: true, smbios: true } });
    expect(newer.slice(1, 5).map(([, name]) => name)).toEqual(['CFV', 'BootMenu', 'bootorder', 'variable SecureBoot']);
    expect(newer.find(([, name]) => name === 'bootorder')?.[2]).toBe(hash('/rom\0'));
    const at = newer.findIndex(([, name]) => name === 'SMBIOS');
    expect(newer.slice(at - 1, at + 2).map(([rtmr, name]) => [rtmr, name])).toEqual([
      [1, 'kernel'],
      [0, 'SMBIOS'],
      [0, 'variable BootOrder'],
    ]);
    expect(newer[at]?.[2]).toBe(hash(measuredSmbios(smbios)));
    expect(named(host)).toEqual(named());
  });

  it('are the same with other hash functions', () => {
    expect(directBootEvents(boot, nobleHashes)).toEqual(eventsOf());
  });

  it('have the kernel as QEMU hands it on', () => {
    const changed = withQemuHeader(boot.kernel, { cmdline: boot.cmdline, initrdSize: 3, memory: 2 ** 31 });
    expect(digestOf('kernel', { initrd, kernelHeader: 'changed' })).toBe(digestOf('kernel', { kernel: changed }));
    expect(digestOf('kernel', { kernelHeader: 'changed' })).not.toBe(
      digestOf('kernel', { initrd, kernelHeader: 'changed' }),
    );
    expect(digestOf('kernel', { initrd })).toBe(digestOf('kernel'));
  });

  it('have the files in the order in which they are loaded', () => {
    const loader = tableLoader('etc/acpi/tables', 'etc/acpi/rsdp');
    expect(
      named({ acpi: acpiFiles({ loader }) })
        .map(([, name]) => name)
        .slice(8, 11),
    ).toEqual(['etc/table-loader', 'etc/acpi/tables', 'etc/acpi/rsdp']);
  });
});

describe('the load options', () => {
  const options = (over: Partial<DirectBoot>) => digestOf('load options', over);
  const first = findBootProfile('edk2-202508');

  it('are the command line in UTF-16 with a NUL', () => {
    expect(options({})).toBe(hash(utf16('console=ttyS0\0')));
    expect(options({ profile: first })).toBe(hash(utf16('console=ttyS0\0')));
  });

  it('name the initrd, behind or before it', () => {
    expect(options({ initrd })).toBe(hash(utf16('console=ttyS0 initrd=initrd\0')));
    expect(options({ initrd, profile: first })).toBe(hash(utf16('initrd=initrd console=ttyS0\0')));
    expect(options({ initrd, cmdline: text('') })).toBe(hash(utf16(' initrd=initrd\0')));
    expect(options({ initrd, cmdline: text(''), profile: first })).toBe(hash(utf16('initrd=initrd \0')));
  });

  it('make each byte a character', () => {
    expect(options({ cmdline: Uint8Array.of(0xc3, 0xa9) })).toBe(hash(utf16('\u00c3\u00a9\0')));
  });

  it('are not measured where there are none, nor is an initrd without bytes', () => {
    const empty = { bytes: 0, sha384: new Uint8Array(48) };
    expect(named({ cmdline: text(''), initrd: empty }).filter(([rtmr]) => rtmr === 2)).toEqual([]);
    expect(
      named({ initrd: empty })
        .filter(([rtmr]) => rtmr === 2)
        .map(([, name]) => name),
    ).toEqual(['load options']);
  });
});

describe('profiles', () => {
  it('say in which register the last separator lies', () => {
    const registers = BOOT_PROFILES.map((profile) =>
      named({ profile })
        .filter(([, name]) => name === 'separator')
        .map(([rtmr]) => rtmr),
    );
    expect(registers).toEqual([
      [0, 0],
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
  });

  it('have names that are asked for', () => {
    for (const profile of BOOT_PROFILES) expect(findBootProfile(profile.name)).toBe(profile);
    expect(failure(() => findBootProfile('edk2-201908'))).toEqual({
      kind: 'usage',
      message: 'no profile of firmware is called "edk2-201908"',
      hint: 'known are edk2-202211, edk2-202411, edk2-202502, edk2-202508',
    });
  });
});

describe('the registers', () => {
  const extend = (...digests: readonly string[]) =>
    digests.reduce((old, digest) => hash(Buffer.from(old + digest, 'hex')), '00'.repeat(48));
  const registers = (over: Partial<DirectBoot> = {}) =>
    extendAll(eventsOf(over), nodeHashes).map(({ rtmr, value, missing }) => [
      rtmr,
      value === undefined ? undefined : bytesToHex(value),
      missing,
    ]);

  it('are extended with the digests of their events', () => {
    const of = (rtmr: number) => extend(...named({ initrd }).flatMap((event) => (event[0] === rtmr ? [event[2]] : [])));
    expect(registers({ initrd })).toEqual([
      [0, of(0), []],
      [1, of(1), []],
      [2, of(2), []],
    ]);
  });

  it('that nothing extends are zeros', () => {
    expect(registers({ cmdline: text('') })[2]).toEqual([2, '00'.repeat(48), []]);
  });

  const missing = (over: Partial<DirectBoot>) => {
    const [rtmr0, rtmr1, rtmr2] = registers(over);
    expect([rtmr1?.[1], rtmr2?.[1]]).toEqual([
      expect.stringMatching(/^[0-9a-f]{96}$/),
      expect.stringMatching(/^[0-9a-f]{96}$/),
    ]);
    expect(rtmr0?.[1]).toBeUndefined();
    return rtmr0?.[2];
  };

  it('are not known where a digest is missing, and say why, each reason once', () => {
    expect(missing({ memory: undefined })).toEqual(['the size of memory is not given']);
    expect(missing({ acpi: undefined })).toEqual(['the ACPI tables are not given']);
    expect(missing({ memory: undefined, acpi: undefined })).toHaveLength(2);
    expect(missing({ build: { ...build, fwCfg: true, smbios: true } })).toEqual([
      'the items of fw_cfg are not given, which this firmware measures',
      'the SMBIOS tables are not given, which this firmware measures',
    ]);
    expect(missing({ build: { ...build, onlyUiApp: false } })).toEqual([
      'BootOrder and the boot options of this firmware are not given',
    ]);
    expect(missing({ sections: sections.slice(1) })).toEqual([
      'the firmware has no variable store (CFV), so its variables are not known',
    ]);
    const loader = tableLoader('etc/acpi/rsdp', 'etc/acpi/tables', 'etc/vmgenid_guid');
    expect(missing({ acpi: acpiFiles({ loader }) })).toEqual([
      'the tables have the file etc/vmgenid_guid loaded as well, which is not known here',
    ]);
    for (const name of ['constructor', '__proto__', 'toString']) {
      expect(missing({ acpi: acpiFiles({ loader: tableLoader(name) }) })).toEqual([
        `the tables have the file ${name} loaded as well, which is not known here`,
      ]);
    }
    const enrolled = variableStore([{ name: 'PK' }]);
    expect(missing({ image: enrolled, build: { ...build, secureBoot: true } })).toEqual([
      'with Secure Boot on, the certificate that vouches for the kernel is measured as well, which is not predicted',
    ]);
  });
});

describe('what no guest is started with is refused', () => {
  const refused = (over: Partial<DirectBoot>) => failure(() => eventsOf(over));

  it('firmware that measures nothing', () => {
    expect(refused({ build: { ...build, measures: false } })).toEqual({
      kind: 'usage',
      message: 'the firmware extends no RTMR: its build has no measured boot for TDX',
      hint: HINT,
    });
  });

  it('a unified kernel image, whose stub measures more', () => {
    expect(refused({ kernel: efiProgram(UKI_SECTIONS) })).toMatchObject({
      kind: 'usage',
      message: 'the kernel is a unified kernel image, whose stub measures its parts by itself',
    });
  });

  it('a kernel that would start unmeasured', () => {
    expect(refused({ kernel: new Uint8Array(4096) })).toMatchObject({ kind: 'format' });
    expect(named({ kernel: peProgram() })).toHaveLength(19);
  });

  it('a size of memory that no guest has', () => {
    expect(refused({ memory: 1 })).toMatchObject({ kind: 'usage' });
  });

  it.each([
    ['another file as rsdp', { rsdp: text('RSD PTR') }, 'etc/acpi/rsdp: it does not begin with "RSD PTR "'],
    ['no tables', { tables: new Uint8Array() }, 'etc/acpi/tables: it holds no tables'],
    ['rsdp as tables', { tables: acpiFiles().rsdp }, 'etc/acpi/tables: it holds no tables'],
    ['tables as loader', { loader: acpiFiles().tables }, 'etc/table-loader: 15 bytes are not made of commands of 128'],
  ])('%s', (_, over, message) => {
    expect(refused({ acpi: acpiFiles(over) })).toEqual({ kind: 'format', message, hint: HINT });
  });
});
