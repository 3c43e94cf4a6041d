/** @module RTMRs against those of test/vectors/rtmr.py, which computes them in its own way. */
import { expect, it } from 'vitest';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { usableTdxSections } from '../../../src/core/measurement/tdx-sections.ts';
import { directBootEvents } from '../../../src/core/rtmr/direct-boot.ts';
import { extendAll } from '../../../src/core/rtmr/events.ts';
import { findBootProfile, type KernelHeader } from '../../../src/core/rtmr/profiles.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { fixture, vectors } from '../../fixtures.ts';

interface Case {
  readonly profile: string;
  readonly kernelHeader: KernelHeader;
  readonly memory: number;
  readonly cmdline: string;
  readonly initrd: string | null;
  readonly rsdp: string;
  readonly tables: string;
  readonly rtmrs: readonly string[];
}

const { cases } = vectors<{ readonly cases: readonly Case[] }>('rtmr.json');
const utf8 = (text: string) => new Uint8Array(Buffer.from(text));
const image = fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd');

it('has not lost entries', () => expect(cases.length).toBe(9));

it.each(cases)('$profile, $kernelHeader kernel, $memory bytes, "$cmdline"', (known) => {
  const initrd = known.initrd === null ? undefined : utf8(known.initrd);
  const events = directBootEvents(
    {
      image,
      sections: usableTdxSections(parseFirmware(image)),
      build: { profiles: [], measures: true, secureBoot: false, onlyUiApp: true, fwCfg: false, smbios: false },
      profile: findBootProfile(known.profile),
      kernelHeader: known.kernelHeader,
      kernel: fixture('tdx-boot/linux.efi'),
      initrd: initrd && { bytes: initrd.length, sha384: nodeHashes.sha384(initrd) },
      cmdline: utf8(known.cmdline),
      memory: Number(known.memory),
      acpi: { loader: fixture('tdx-boot/table-loader.bin'), rsdp: utf8(known.rsdp), tables: utf8(known.tables) },
      fwCfg: undefined,
      smbios: undefined,
      bootVariables: new Map(),
    },
    nodeHashes,
  );
  const rtmrs = extendAll(events, nodeHashes).map(({ value }) => bytesToHex(value ?? new Uint8Array()));
  expect(rtmrs).toEqual(known.rtmrs);
});
