import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { bootVariableEvents } from '../../../src/core/rtmr/boot-variables.ts';
import { uiAppOption } from '../../../src/core/rtmr/load-option.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure, HINT } from '../../failure.ts';

const own = { onlyUiApp: true };
const other = { onlyUiApp: false };
const hash = (bytes: Uint8Array) => bytesToHex(nodeHashes.sha384(bytes));
const eventsOf = (given: Readonly<Record<string, Uint8Array>>, build = own) =>
  bootVariableEvents(new Map(Object.entries(given)), build, nodeHashes).map(({ name, digest, ...rest }) => {
    expect(rest).toMatchObject({ rtmr: 0, type: 0x80000002 });
    return [name, bytesToHex(digest ?? new Uint8Array())];
  });

describe('BootOrder and the boot options', () => {
  it("are the firmware's own menu where nothing is given", () => {
    expect(eventsOf({})).toEqual([
      ['variable BootOrder', hash(Uint8Array.of(0, 0))],
      ['variable Boot0000', hash(uiAppOption())],
    ]);
  });

  it('are hashed without their names, in the order that is given, the menu among them', () => {
    const [disk, shell] = [Uint8Array.of(1), Uint8Array.of(2)];
    const order = Uint8Array.of(0x1a, 0, 0, 0, 2, 0xff);
    expect(eventsOf({ BootOrder: order, BootFF02: shell, Boot001A: disk })).toEqual([
      ['variable BootOrder', hash(order)],
      ['variable Boot001A', hash(disk)],
      ['variable Boot0000', hash(uiAppOption())],
      ['variable BootFF02', hash(shell)],
    ]);
    expect(eventsOf({ Boot0000: disk })[1]).toEqual(['variable Boot0000', hash(disk)]);
  });

  it('are not known of firmware with another menu, unless all are given', () => {
    const missing = 'BootOrder and the boot options of this firmware are not given';
    expect(bootVariableEvents(new Map(), other, nodeHashes)).toEqual([
      { rtmr: 0, type: 0x80000002, name: 'variable BootOrder', digest: undefined, missing },
    ]);
    const [order, option] = [Uint8Array.of(0, 0), Uint8Array.of(9)];
    expect(eventsOf({ BootOrder: order, Boot0000: option }, other)).toEqual([
      ['variable BootOrder', hash(order)],
      ['variable Boot0000', hash(option)],
    ]);
  });

  it.each([
    ['an option without the order', { Boot0000: Uint8Array.of(9) }, other, 'Boot0000 without BootOrder'],
    ['an option that the order does not name', { Boot0001: Uint8Array.of(9) }, own, 'Boot0001 is not in BootOrder'],
    [
      'an order that names an option that is not given',
      { BootOrder: Uint8Array.of(1, 0) },
      own,
      'BootOrder names Boot0001, which is not given',
    ],
    [
      'no menu to stand for Boot0000',
      { BootOrder: Uint8Array.of(0, 0) },
      other,
      'BootOrder names Boot0000, which is not given',
    ],
  ])('%s is refused', (_, given, build, message) => {
    expect(failure(() => eventsOf(given, build))).toEqual({ kind: 'usage', message, hint: HINT });
  });

  it.each([0, 1, 3])('an order of %d bytes is refused', (size) => {
    expect(failure(() => eventsOf({ BootOrder: new Uint8Array(size) }))).toMatchObject({
      kind: 'format',
      message: `BootOrder of ${size} bytes is no list of 16-bit numbers`,
    });
  });
});
