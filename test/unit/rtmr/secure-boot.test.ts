import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { variableData } from '../../../src/core/rtmr/efi-variable.ts';
import { secureBootEvents } from '../../../src/core/rtmr/secure-boot.ts';
import { storedVariables } from '../../../src/core/rtmr/variable-store.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure, HINT } from '../../failure.ts';
import { u32, volume } from '../../firmware-image.ts';
import { DATABASE, type Entry, entry, GLOBAL, PLAIN, variableStore } from '../../variable-store.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);
const keys: readonly Entry[] = [
  { name: 'KEK', data: bytes(2, 2, 2) },
  { name: 'PK', data: bytes(1) },
  { vendor: DATABASE, name: 'dbx', data: bytes(4) },
  { vendor: DATABASE, name: 'db', data: bytes(3, 3) },
];
const enabled = (value: number): Entry => ({
  vendor: 'f0a30bc7-af08-4556-99c4-001009c93a44',
  name: 'SecureBootEnable',
  data: bytes(value),
});

describe('a variable store', () => {
  it.each([{}, { format: PLAIN }])('is read with its names and contents, %j', (over) => {
    const store = variableStore([{ name: 'Boot0001', data: new Uint8Array() }, ...keys], over);
    expect(storedVariables(store)).toEqual([
      { vendor: GLOBAL, name: 'Boot0001', data: new Uint8Array() },
      { vendor: GLOBAL, name: 'KEK', data: bytes(2, 2, 2) },
      { vendor: GLOBAL, name: 'PK', data: bytes(1) },
      { vendor: DATABASE, name: 'dbx', data: bytes(4) },
      { vendor: DATABASE, name: 'db', data: bytes(3, 3) },
    ]);
  });

  it('has in force what was written last and not deleted', () => {
    const store = variableStore([
      { name: 'A', data: bytes(1), state: 0x3c },
      { name: 'A', data: bytes(2), state: 0x3e },
      { name: 'A', data: bytes(3), state: 0x3f },
      { name: 'A', data: bytes(4), state: 0x3e },
      { name: 'B', data: bytes(5), state: 0x3e },
      { name: 'C', data: bytes(6), state: 0x7f },
      { name: 'D', data: bytes(7), state: 0x3d },
    ]);
    expect(storedVariables(store).map(({ name, data }) => [name, data[0]])).toEqual([
      ['A', 3],
      ['B', 5],
    ]);
  });

  it('goes on behind a variable that was begun and never written', () => {
    const store = variableStore([{ name: '', state: 0x7f, data: new Uint8Array() }, { name: 'A' }]);
    const at = 72 + 28;
    store.set(u32(0xffffffff), at + 8 + 28);
    store.set(u32(0xffffffff), at + 8 + 28 + 4);
    const moved = store.slice();
    moved.set(entry({ name: 'A' }), at + 60);
    expect(storedVariables(moved).map(({ name }) => name)).toEqual(['A']);
  });

  it('may be full to its last byte', () => {
    const size = 28 + entry({ name: 'A' }).length;
    expect(storedVariables(variableStore([{ name: 'A' }], { bytes: size }))).toHaveLength(1);
    expect(failure(() => storedVariables(variableStore([{ name: 'A' }], { bytes: size - 4 })))).toMatchObject({
      message: 'variable store: the variable at 28 does not fit',
    });
  });

  it.each([
    ['a volume of files', volume([])],
    ['another format', variableStore([], { format: DATABASE })],
    ['a store in the making', variableStore([], { state: 0xff })],
    ['a store larger than its volume', variableStore([], { bytes: 8192 - 71 })],
    ['a store smaller than its header', variableStore([], { bytes: 27 })],
    ['zeros', new Uint8Array(8192)],
    ['nothing', new Uint8Array()],
  ])('%s is refused', (_, store) => {
    expect(failure(() => storedVariables(store))).toEqual({
      kind: 'format',
      message: expect.stringContaining('variable store'),
      hint: HINT,
    });
  });
});

describe('the variables of Secure Boot', () => {
  const eventsOf = (entries: readonly Entry[], secureBoot = true) =>
    secureBootEvents(variableStore(entries), { secureBoot }, nodeHashes);
  const expected = (vendor: string, name: string, ...data: number[]) => [
    `variable ${name}`,
    bytesToHex(nodeHashes.sha384(variableData({ vendor, name, data: bytes(...data) }))),
  ];
  const known = (entries: readonly Entry[], secureBoot = true) =>
    eventsOf(entries, secureBoot).flatMap(({ rtmr, type, name, digest }) => {
      expect(rtmr).toBe(0);
      if (digest === undefined) return [];
      expect(type).toBe(0x80000001);
      return [[name, bytesToHex(digest)]];
    });
  const states = (entries: readonly Entry[], secureBoot = true) => ({
    first: known(entries, secureBoot)[0],
    authority: eventsOf(entries, secureBoot).some(({ type }) => type === 0x800000e0),
  });
  const on = { first: expected(GLOBAL, 'SecureBoot', 1), authority: true };
  const off = { first: expected(GLOBAL, 'SecureBoot', 0), authority: false };

  it('are measured in their order, whatever that of the store', () => {
    expect(known(keys)).toEqual([
      expected(GLOBAL, 'SecureBoot', 1),
      expected(GLOBAL, 'PK', 1),
      expected(GLOBAL, 'KEK', 2, 2, 2),
      expected(DATABASE, 'db', 3, 3),
      expected(DATABASE, 'dbx', 4),
    ]);
  });

  it('are measured without data where there are none, but for the timestamps', () => {
    expect(known([], false)).toEqual([
      expected(GLOBAL, 'SecureBoot'),
      expected(GLOBAL, 'PK'),
      expected(GLOBAL, 'KEK'),
      expected(DATABASE, 'db'),
      expected(DATABASE, 'dbx'),
    ]);
    expect(known([{ vendor: DATABASE, name: 'dbt', data: bytes(9) }]).at(-1)).toEqual(expected(DATABASE, 'dbt', 9));
  });

  it('say that it is on with a key of the platform, unless it was switched off', () => {
    expect(states(keys)).toEqual(on);
    expect(states([...keys, enabled(1)])).toEqual(on);
    expect(states([...keys, enabled(0)])).toEqual(off);
    expect(states([enabled(1)])).toEqual(off);
    expect(states([])).toEqual(off);
    expect(states([{ ...keys[1], name: 'PK', vendor: DATABASE }])).toEqual(off);
  });

  it('say nothing of it in firmware without it', () => {
    expect(states(keys, false)).toEqual({ first: expected(GLOBAL, 'SecureBoot'), authority: false });
  });
});
