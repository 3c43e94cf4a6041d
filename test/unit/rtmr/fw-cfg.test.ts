import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { fwCfgEvents } from '../../../src/core/rtmr/fw-cfg.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';

const events = (files: Readonly<Record<string, readonly number[]>>, bootMenu = false) =>
  fwCfgEvents(
    { files: new Map(Object.entries(files).map(([name, of]) => [name, Uint8Array.from(of)])), bootMenu },
    nodeHashes,
  );
const named = (...given: Parameters<typeof events>) => events(...given).map(({ name }) => name);
const hash = (...bytes: readonly number[]) => bytesToHex(nodeHashes.sha384(Uint8Array.from(bytes)));

describe('the items of fw_cfg that are measured', () => {
  it('are the menu alone where a host has no other', () => {
    const [menu, ...others] = events({});
    expect(others).toEqual([]);
    expect(menu).toMatchObject({ rtmr: 0, type: 10, name: 'BootMenu', missing: undefined });
    expect(bytesToHex(menu?.digest ?? new Uint8Array())).toBe(hash(0, 0));
    expect(bytesToHex(events({}, true)[0]?.digest ?? new Uint8Array())).toBe(hash(1, 0));
  });

  it('come in the order of the firmware, with their digests', () => {
    const eight = [1, 2, 3, 4, 5, 6, 7, 8];
    const all = {
      bootorder: [65, 0],
      'opt/ovmf/X-PciMmio64Mb': [54, 52],
      'etc/reserved-memory-end': eight,
      'etc/boot-menu-wait': [1, 0],
      'etc/extra-pci-roots': eight,
      'etc/e820': [1],
    };
    expect(named(all)).toEqual([
      'etc/extra-pci-roots',
      'BootMenu',
      'etc/boot-menu-wait',
      'etc/reserved-memory-end',
      'opt/ovmf/X-PciMmio64Mb',
      'bootorder',
    ]);
    expect(bytesToHex(events(all).at(-1)?.digest ?? new Uint8Array())).toBe(hash(65, 0));
  });

  it('are not those without bytes, nor those of another size than the firmware takes', () => {
    expect(named({ bootorder: [], 'etc/extra-pci-roots': [1, 2, 3, 4], 'etc/boot-menu-wait': [1, 0, 0] })).toEqual([
      'BootMenu',
    ]);
    expect(named({ 'etc/reserved-memory-end': [1, 2, 3, 4, 5, 6, 7, 8, 9] })).toEqual(['BootMenu']);
  });

  it('are missing where the host is not known', () => {
    expect(fwCfgEvents(undefined, nodeHashes)).toMatchObject([
      {
        rtmr: 0,
        name: 'fw_cfg',
        digest: undefined,
        missing: 'the items of fw_cfg are not given, which this firmware measures',
      },
    ]);
  });
});
