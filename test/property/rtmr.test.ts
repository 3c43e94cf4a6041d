import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withQemuHeader } from '../../src/core/measurement/setup-header.ts';
import { authenticode } from '../../src/core/rtmr/authenticode.ts';
import { bootVariableEvents } from '../../src/core/rtmr/boot-variables.ts';
import { agreesWithPrediction, compareLog } from '../../src/core/rtmr/compare-log.ts';
import { loadedFiles } from '../../src/core/rtmr/table-loader.ts';
import { tdHob } from '../../src/core/rtmr/td-hob.ts';
import { storedVariables } from '../../src/core/rtmr/variable-store.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { acpiFiles } from '../acpi-files.ts';
import { typedOrValue } from '../failure.ts';
import { linuxKernel } from '../linux-kernel.ts';
import { DATABASE, variableStore } from '../variable-store.ts';

const any = fc.uint8Array({ maxLength: 600 });
/** Something sound with a few bytes replaced: it gets further into a parser than random bytes do. */
const near = (sound: Uint8Array, within = sound.length) =>
  fc.array(fc.tuple(fc.nat(within - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
    const bytes = sound.slice();
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });
const hash = (bytes: Uint8Array) => authenticode(bytes, () => createHash('sha384'));

describe('any bytes give a value or a typed error', () => {
  it('as a kernel', () => {
    fc.assert(
      fc.property(fc.oneof(any, near(linuxKernel(), 0x420)), (kernel) => {
        const value = typedOrValue(() => hash(kernel));
        if (value !== undefined) expect(value).toHaveLength(48);
      }),
      { numRuns: 500 },
    );
  });

  it('as a kernel whose header QEMU fills in', () => {
    const inputs = fc.record({
      cmdline: any,
      initrdSize: fc.option(fc.nat(0xffffffff), { nil: undefined }),
      memory: fc.option(fc.nat(2 ** 31), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.oneof(any, near(linuxKernel(), 0x420)), inputs, (kernel, given) => {
        const value = typedOrValue(() => withQemuHeader(kernel, given));
        if (value !== undefined) expect(value).toHaveLength(kernel.length);
      }),
      { numRuns: 500 },
    );
  });

  it('as a variable store', () => {
    const store = variableStore([{ name: 'PK' }, { vendor: DATABASE, name: 'db', data: new Uint8Array(40) }]);
    fc.assert(
      fc.property(fc.oneof(any, near(store, 0x140)), (bytes) => void typedOrValue(() => storedVariables(bytes))),
      {
        numRuns: 500,
      },
    );
  });

  it('as commands of the table loader, or as variables of the boot', () => {
    fc.assert(
      fc.property(fc.oneof(any, near(acpiFiles().loader, 512)), any, (commands, order) => {
        typedOrValue(() => loadedFiles(commands));
        const variables = new Map([['BootOrder', order]]);
        typedOrValue(() => bootVariableEvents(variables, { onlyUiApp: true }, nodeHashes));
      }),
    );
  });
});

describe('what is hashed', () => {
  it('of a kernel is every bit but those of checksum and certificates', () => {
    const kernel = linuxKernel({}, { certificates: new Uint8Array(64).fill(1) });
    const skipped = (at: number) =>
      (at >= 0xd8 && at < 0xdc) || (at >= 0x128 && at < 0x130) || at >= kernel.length - 64;
    const before = hash(kernel);
    fc.assert(
      fc.property(fc.nat(8 * kernel.length - 1), (bit) => {
        const changed = kernel.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const after = typedOrValue(() => hash(changed));
        const same = after !== undefined && Buffer.compare(after, before) === 0;
        const sizeOfCertificates = bit >> 3 >= 0x12c && bit >> 3 < 0x130;
        if (!sizeOfCertificates) expect(same).toBe(skipped(bit >> 3));
      }),
      { numRuns: 500 },
    );
  });

  it('of memory covers all of it once', () => {
    const section = (name: string, gpa: number, size: number) => ({
      name,
      gpa,
      size,
      dataOffset: undefined,
      extended: false,
    });
    const sections = [
      section('TD_HOB', 0x809000, 0x2000),
      section('TEMP_MEM', 0x80b000, 0x2000),
      section('TEMP_MEM', 0x810000, 0x10000),
    ];
    fc.assert(
      fc.property(fc.integer({ min: 0x410, max: 2 ** 33 }), (units) => {
        const memory = 8192 * units;
        const list = Buffer.from(tdHob(memory, sections));
        let total = 0;
        let end = 0;
        for (let at = 56; at < list.length; at += 48) {
          const [start, length] = [Number(list.readBigUInt64LE(at + 32)), Number(list.readBigUInt64LE(at + 40))];
          expect(start === end || start === 2 ** 32).toBe(true);
          [end, total] = [start + length, total + length];
        }
        expect(total).toBe(memory);
      }),
    );
  });
});

describe('a log against a prediction', () => {
  const digest = fc.nat(7).map((value) => new Uint8Array(48).fill(value));
  const type = fc.constantFrom(4, 10, 13);
  const rtmr = fc.constantFrom(0 as const, 1 as const, 2 as const);
  const predicted = fc.array(
    fc.record({ rtmr, type, name: fc.constant('x'), digest: fc.option(digest, { nil: undefined }) }).map((event) => ({
      ...event,
      missing: event.digest === undefined ? 'it is not given' : undefined,
    })),
    { maxLength: 12 },
  );
  const logged = fc.record({
    rtmr: fc.option(fc.nat(3), { nil: undefined }),
    type,
    digest,
    data: fc.constant(new Uint8Array()),
  });

  it('has every event of both once, and each verdict only where it is true', () => {
    fc.assert(
      fc.property(fc.array(logged, { maxLength: 14 }), predicted, (log, expected) => {
        const { events, absent } = compareLog(log, expected);
        expect(events.map(({ event }) => event)).toEqual(log);
        const paired = events.flatMap(({ prediction }) => prediction ?? []);
        expect(new Set([...paired, ...absent]).size).toBe(paired.length + absent.length);
        expect(new Set([...paired, ...absent])).toEqual(new Set(expected));
        for (const { event, verdict, prediction } of events) {
          const same = prediction?.digest?.[0] === event.digest[0];
          const complete = expected.every(({ rtmr, digest }) => rtmr !== event.rtmr || digest !== undefined);
          const predictable = event.rtmr !== undefined && event.rtmr !== 3;
          expect(verdict === 'predicted').toBe(prediction !== undefined && same);
          expect(verdict === 'differs').toBe(prediction?.digest !== undefined && !same);
          expect(verdict === 'extra').toBe(prediction === undefined && predictable && complete);
          if (prediction !== undefined) expect(prediction.rtmr).toBe(event.rtmr);
        }
      }),
    );
  });

  it('agrees where nothing was changed, and with one digest changed does not', () => {
    const complete = predicted.map((events) =>
      events.map((event) => ({ ...event, digest: event.digest ?? new Uint8Array(48) })),
    );
    fc.assert(
      fc.property(complete, fc.nat(), (expected, at) => {
        const log = expected.map((event) => ({ ...event, data: new Uint8Array() }));
        expect(agreesWithPrediction(compareLog(log, expected))).toBe(true);
        if (log.length === 0) return;
        const changed = log.map((event, i) =>
          i === at % log.length ? { ...event, digest: new Uint8Array(48).fill(99) } : event,
        );
        expect(agreesWithPrediction(compareLog(changed, expected))).toBe(false);
      }),
    );
  });
});
