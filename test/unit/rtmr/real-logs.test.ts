/** @module Predictions against the event logs of real machines: two TDX guests on QEMU (trustee), and one on Google's hosts. */
import { describe, expect, it } from 'vitest';
import { type CcelEvent, parseCcel } from '../../../src/core/attestation/ccel.ts';
import { replayCcel } from '../../../src/core/attestation/replay-ccel.ts';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { usableTdxSections } from '../../../src/core/measurement/tdx-sections.ts';
import { type DirectBoot, directBootEvents } from '../../../src/core/rtmr/direct-boot.ts';
import { variableData } from '../../../src/core/rtmr/efi-variable.ts';
import { extendAll } from '../../../src/core/rtmr/events.ts';
import { uiAppOption } from '../../../src/core/rtmr/load-option.ts';
import { findBootProfile } from '../../../src/core/rtmr/profiles.ts';
import { tdHob } from '../../../src/core/rtmr/td-hob.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { acpiFiles } from '../../acpi-files.ts';
import { fixture } from '../../fixtures.ts';
import { peProgram } from '../../pe-program.ts';

const MIB = 2 ** 20;
const direct = parseCcel(fixture('trustee/CCEL_data_ovmf'));
const fromDisk = parseCcel(fixture('trustee/CCEL_data_grub'));
const google = parseCcel(fixture('go-tdx-guest/ccel_data.dat'));

const sectionsOf = (name: string) => usableTdxSections(parseFirmware(fixture(`debian-ovmf/${name}`)));
/** This build has the sections of upstream's OvmfPkgX64 at that time. */
const upstream = sectionsOf('OVMF_2022.11-6+deb12u2.fd');
/** This one has the same empty variable store as the guest's. */
const debian = fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd');
const [cfv] = usableTdxSections(parseFirmware(debian)).filter(({ name }) => name === 'CFV');

const hash = (bytes: Uint8Array) => bytesToHex(nodeHashes.sha384(bytes));
const digest = (event: CcelEvent | undefined) => bytesToHex(event?.digest ?? new Uint8Array());

describe('a guest that QEMU booted directly', () => {
  const build = { profiles: [], measures: true, secureBoot: false, onlyUiApp: true, fwCfg: false, smbios: false };
  const boot: DirectBoot = {
    image: debian,
    sections: [...upstream.filter(({ name }) => name !== 'CFV'), ...(cfv === undefined ? [] : [cfv])],
    build,
    profile: findBootProfile('edk2-202211'),
    kernelHeader: 'unchanged',
    kernel: peProgram(),
    initrd: { bytes: 1, sha384: new Uint8Array(48) },
    cmdline: Uint8Array.from(Buffer.from('console=hvc0')),
    memory: 2048 * MIB,
    acpi: acpiFiles(),
    fwCfg: undefined,
    smbios: undefined,
    bootVariables: new Map(),
  };
  const events = directBootEvents(boot, nodeHashes);

  it('has the events that are predicted, in their registers and order', () => {
    expect(events.map(({ rtmr, type }) => [rtmr, type])).toEqual(direct.map(({ rtmr, type }) => [rtmr, type]));
  });

  it('has their digests, but those of files that are not known', () => {
    const differ = events.flatMap((event, i) => (hash0(event.digest) === digest(direct[i]) ? [] : [event.name]));
    expect(differ).toEqual([
      'etc/table-loader',
      'etc/acpi/rsdp',
      'etc/acpi/tables',
      'kernel',
      'load options',
      'initrd',
    ]);
  });

  it('has the registers that follow from its digests', () => {
    const known = events.map((event, i) => ({ ...event, digest: direct[i]?.digest, missing: undefined }));
    const [rtmr0, rtmr1, rtmr2] = replayCcel(direct, nodeHashes);
    expect(extendAll(known, nodeHashes)).toEqual([
      { rtmr: 0, value: rtmr0, missing: [] },
      { rtmr: 1, value: rtmr1, missing: [] },
      { rtmr: 2, value: rtmr2, missing: [] },
    ]);
  });

  it('has another list of memory with another size', () => {
    for (const memory of [2047 * MIB, 2049 * MIB, 2048 * MIB + 8192]) {
      expect(hash(tdHob(memory, upstream))).not.toBe(digest(direct[0]));
    }
  });
});

const hash0 = (bytes: Uint8Array | undefined) => bytesToHex(bytes ?? new Uint8Array());

describe('a guest with 10 GiB that boots from its disk', () => {
  it('has the list of memory that is predicted', () => {
    expect(hash(tdHob(10240 * MIB, upstream))).toBe(digest(fromDisk[0]));
  });

  it("has the firmware's own menu as one of its boot options", () => {
    expect(fromDisk.map(digest)).toContain(hash(uiAppOption()));
    expect(google.map(digest)).toContain(hash(uiAppOption()));
  });
});

/** GUID, lengths, name and data as a log has them, taken apart again. */
function variableOf({ data }: CcelEvent): {
  readonly vendor: Uint8Array;
  readonly name: string;
  readonly data: Uint8Array;
} {
  const buffer = Buffer.from(data);
  const end = 32 + 2 * Number(buffer.readBigUInt64LE(16));
  return { vendor: data.subarray(0, 16), name: buffer.toString('utf16le', 32, end), data: data.subarray(end) };
}

describe('variables of Secure Boot', () => {
  const vendors: Readonly<Record<string, string>> = {
    '61dfe48bca93d211aa0d00e098032b8c': '8be4df61-93ca-11d2-aa0d-00e098032b8c',
    cbb219d73a3d9645a3bcdad00e67656f: 'd719b2cb-3d3a-4596-a3bc-dad00e67656f',
  };
  const logs = { direct, fromDisk, google };

  it.each(Object.keys(logs))('are hashed as in the log %s, enrolled or not', (name) => {
    const configured = logs[name as keyof typeof logs].filter(({ type }) => type === 0x80000001);
    expect(configured.map((event) => variableOf(event).name)).toEqual(['SecureBoot', 'PK', 'KEK', 'db', 'dbx']);
    for (const event of configured) {
      const { vendor, ...variable } = variableOf(event);
      expect(hash(variableData({ vendor: vendors[bytesToHex(vendor)] ?? '', ...variable }))).toBe(digest(event));
    }
  });
});
