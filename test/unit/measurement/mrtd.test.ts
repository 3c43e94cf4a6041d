import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { MRTD_ORDERS, type MrtdOrder, type MrtdStep, mrtd } from '../../../src/core/measurement/mrtd.ts';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { AMDSEV, firmwareImage, TDVF, type TdxEntry } from '../../firmware-image.ts';
import { fixture, vectors } from '../../fixtures.ts';

const { cases } = vectors<{ cases: readonly ({ readonly firmware: string } & Record<MrtdOrder, string>)[] }>(
  'mrtd.json',
);

const of = (image: Uint8Array, order: MrtdOrder, hashes = nodeHashes) =>
  bytesToHex(mrtd(image, parseFirmware(image), order, hashes));

const imageOf = (...tdx: readonly TdxEntry[]) => firmwareImage({ ...AMDSEV, tdx }, {}, 0x10000);

describe('known MRTDs', () => {
  it('has not lost entries', () => expect(cases.length).toBe(5));

  for (const order of MRTD_ORDERS) {
    it.each(cases)(`${order}: $firmware`, (known) => {
      expect(of(fixture(known.firmware), order)).toBe(known[order]);
    });
  }
});

/** What the TDX module is fed, written out once more. */
class Stream {
  readonly #hash = createHash('sha384');

  leaf(name: string, gpa: number, contents: Uint8Array = new Uint8Array()): this {
    const first = Buffer.alloc(128);
    first.write(name, 'ascii');
    first.writeBigUInt64LE(BigInt(gpa), 16);
    this.#hash.update(first).update(contents);
    return this;
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}

describe('the steps of an MRTD', () => {
  const measured: TdxEntry = { ...TDVF.tempMem, memory: 0x2000, attributes: 1 };
  const image = imageOf({ ...TDVF.bfv, at: 0xe000, size: 0x2000 }, TDVF.tdHob, measured);
  const plan = (order: MrtdOrder): readonly MrtdStep[] => {
    const steps: MrtdStep[] = [];
    const digest = mrtd(image, parseFirmware(image), order, nodeHashes, (step) => void steps.push(step));
    expect(digest).toEqual(steps.at(-1)?.digest);
    return steps;
  };

  it('are each page with its contents, in the order of the file', () => {
    const stream = new Stream();
    const expected: unknown[] = [];
    const section = (name: string, gpa: number, size: number, contents: Uint8Array | undefined) => {
      for (let page = 0; page < size; page += 0x1000) {
        stream.leaf('MEM.PAGE.ADD', gpa + page);
        for (let at = page; contents !== undefined && at < page + 0x1000; at += 0x100) {
          stream.leaf('MR.EXTEND', gpa + at, contents.subarray(at, at + 0x100));
        }
      }
      const type = contents === undefined ? 'add' : 'add+extend';
      expected.push({ name, type, gpa: BigInt(gpa), length: size, digest: stream.digest() });
    };
    section('BFV', 0xffffe000, 0x2000, image.subarray(0xe000));
    section('TD_HOB', 0x809000, 0x2000, undefined);
    section('TEMP_MEM', 0x810000, 0x2000, new Uint8Array(0x2000));
    expect(plan('page-wise').map((step) => ({ ...step, digest: bytesToHex(step.digest) }))).toEqual(expected);
  });

  it('are in two passes all pages of a section, then all its contents', () => {
    const stream = new Stream();
    const expected: unknown[] = [];
    const step = (name: string, type: string, gpa: number) =>
      expected.push({ name, type, gpa: BigInt(gpa), length: 0x2000, digest: stream.digest() });
    const add = (name: string, gpa: number) => {
      stream.leaf('MEM.PAGE.ADD', gpa).leaf('MEM.PAGE.ADD', gpa + 0x1000);
      step(name, 'add', gpa);
    };
    const extend = (name: string, gpa: number, contents: Uint8Array) => {
      for (let at = 0; at < 0x2000; at += 0x100) stream.leaf('MR.EXTEND', gpa + at, contents.subarray(at, at + 0x100));
      step(name, 'extend', gpa);
    };
    add('BFV', 0xffffe000);
    extend('BFV', 0xffffe000, image.subarray(0xe000));
    add('TD_HOB', 0x809000);
    add('TEMP_MEM', 0x810000);
    extend('TEMP_MEM', 0x810000, new Uint8Array(0x2000));
    expect(plan('two-pass').map((one) => ({ ...one, digest: bytesToHex(one.digest) }))).toEqual(expected);
  });

  it('do not depend on which implementation hashes', () => {
    for (const order of MRTD_ORDERS) expect(of(image, order, nobleHashes)).toBe(of(image, order));
  });
});

describe('MRTD', () => {
  it('changes with the code, and with the variables only where they are measured', () => {
    const { bfv, cfv, tdHob } = TDVF;
    const other = (image: Uint8Array, at: number) => {
      const changed = image.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      return of(changed, 'page-wise');
    };
    const image = imageOf(bfv, cfv, tdHob);
    expect(other(image, 0x1fff)).toBe(of(image, 'page-wise'));
    for (const at of [0x2000, 0xffff]) expect(other(image, at)).not.toBe(of(image, 'page-wise'));
    const measured = imageOf(bfv, { ...cfv, attributes: 1 }, tdHob);
    for (const at of [0, 0x1fff]) expect(other(measured, at)).not.toBe(of(measured, 'page-wise'));
  });

  it('is of the image that was parsed', () => {
    const image = imageOf(...Object.values(TDVF));
    expect(failure(() => mrtd(image.subarray(1), parseFirmware(image), 'page-wise', nodeHashes))).toMatchObject({
      kind: 'usage',
      message: 'the image has 65535 bytes, its tables are of one of 65536',
    });
  });
});
