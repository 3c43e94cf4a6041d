import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64ToBytes } from '../../src/core/base64.ts';
import {
  type FirmwareDescriptor,
  isDescriptor,
  parseDescriptor,
  printDescriptor,
} from '../../src/core/firmware/descriptor.ts';
import { parseFirmware } from '../../src/core/firmware/firmware.ts';
import { inspectFirmware } from '../../src/core/firmware/inspect.ts';
import { lintFirmware } from '../../src/core/firmware/lint.ts';
import { decodeLzma } from '../../src/core/firmware/lzma.ts';
import { typedOrValue } from '../failure.ts';
import { AMDSEV, firmwareImage, lzmaLiterals, volume } from '../firmware-image.ts';
import { fixture, vectors } from '../fixtures.ts';

/** A change of some bytes: where, as a share of the whole, and what to. */
const edits = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.constantFrom(new Uint8Array(8), new Uint8Array(8).fill(0xff), Uint8Array.of(0xff, 0xff, 0xff, 0x7f)),
    ),
  }),
  { minLength: 1, maxLength: 6 },
);

function edited(bytes: Uint8Array, changes: readonly { at: number; bytes: Uint8Array }[], from = 0, to = bytes.length) {
  const out = bytes.slice();
  for (const change of changes) {
    const at = from + Math.floor(change.at * (to - from));
    out.set(change.bytes.subarray(0, out.length - at), at);
  }
  return out;
}

const check = (image: Uint8Array) => {
  typedOrValue(() => parseFirmware(image));
  typedOrValue(() => inspectFirmware(image));
};

describe('any bytes', () => {
  it('are read as firmware or refused with a typed error', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), check));
  });

  it('are read as a footer table or refused', () => {
    const footer = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin').subarray(4096 - 48);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 400 }), (before, length) => {
        const image = Uint8Array.from([...before, length % 256, length >> 8, ...footer]);
        check(image);
      }),
    );
  });

  it('are read as files of a volume, or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (body) => {
        check(volume([body]));
      }),
    );
  });

  it('survive LZMA', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (content) => {
        expect(decodeLzma(lzmaLiterals(content), content.length)).toEqual(content);
      }),
    );
  });

  it('are LZMA of the size that they say, or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 2000 }), (stream, size) => {
        const input = Uint8Array.from([0x5d, 0, 0, 1, 0, size % 256, size >> 8, 0, 0, 0, 0, 0, 0, 0, ...stream]);
        const output = typedOrValue(() => decodeLzma(input, 1000));
        if (output !== undefined) expect(output).toHaveLength(size);
      }),
    );
  });
});

describe('changed bytes', () => {
  it('of tables', () => {
    for (const name of ['sev-snp-measure/ovmf_AmdSev_suffix.bin', 'gce-tcb-verifier/fake_sev_tdx.fd']) {
      const image = fixture(name);
      fc.assert(fc.property(edits, (changes) => check(edited(image, changes))));
      fc.assert(fc.property(edits, (changes) => check(edited(image, changes, image.length - 250))));
      fc.assert(fc.property(fc.nat({ max: image.length }), (size) => check(image.subarray(image.length - size))));
    }
  });

  const image = firmwareImage(AMDSEV, {}, 0x5000);
  it('of volumes, files and sections', () => {
    fc.assert(fc.property(edits, (changes) => check(edited(image, changes, 0, 8192 + 200))));
    fc.assert(fc.property(edits, (changes) => check(edited(image, changes))));
    fc.assert(fc.property(fc.nat({ max: image.length }), (size) => check(image.subarray(0, size))));
  });

  it('of a decompressed volume', () => {
    const files = volume([Uint8Array.from(image.subarray(8192 + 72, 8192 + 172))]);
    fc.assert(fc.property(edits, (changes) => check(edited(files, changes, 72, 200))));
  });

  it('of LZMA streams', () => {
    const { cases } = vectors<{ cases: { lzma: string; bytes: number }[] }>('lzma.json');
    for (const { lzma, bytes } of cases) {
      const input = base64ToBytes(lzma);
      fc.assert(
        fc.property(edits, fc.nat({ max: 200 }), (changes, cut) => {
          const stream = edited(input, changes).subarray(0, input.length - cut);
          const output = typedOrValue(() => decodeLzma(stream, 2 * bytes));
          if (output !== undefined) expect(output.length).toBeLessThanOrEqual(2 * bytes);
        }),
      );
    }
  });
});

describe('the sign of unverified blobs', () => {
  it('is seen wherever it lies', () => {
    const image = firmwareImage(AMDSEV, {}, 0x5000);
    const marker = Uint8Array.from(Buffer.from('etc/boot/'));
    // Everything behind the volumes and before the tables is filling.
    fc.assert(
      fc.property(fc.integer({ min: 0x3000, max: 0x4000 - marker.length }), (at) => {
        const marked = image.slice();
        marked.set(marker, at);
        expect(lintFirmware(marked).class).toBe('enforcing-some-unverified');
      }),
      { numRuns: 20 },
    );
  });
});

describe('a descriptor', () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  const area = fc.option(
    fc.record({ base: fc.integer({ min: 1, max: 0xffffffff }), size: fc.integer({ min: 1, max: 0xffffffff }) }),
    { nil: undefined },
  );
  const descriptor: fc.Arbitrary<FirmwareDescriptor> = fc.record({
    sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
    snpDigest: fc.uint8Array({ minLength: 48, maxLength: 48 }),
    firmware: fc
      .record({
        pages: fc.integer({ min: 1, max: 16384 }),
        resetAddress: fc.option(u32, { nil: undefined }),
        hashArea: area,
        secretArea: area,
        sevSections: fc.array(fc.record({ gpa: u32, size: u32, type: u32 }), { minLength: 1, maxLength: 8 }),
      })
      .map(({ pages, ...rest }) => ({
        ...rest,
        size: pages * 4096,
        gpa: 2 ** 32 - pages * 4096,
        footer: [],
        tdxSections: undefined,
        svsmEntry: undefined,
      })),
  });

  it('is read as it was written', () => {
    fc.assert(
      fc.property(descriptor, (value) => {
        const text = printDescriptor(value);
        expect(isDescriptor(Uint8Array.from(Buffer.from(text)))).toBe(true);
        expect(parseDescriptor(text)).toEqual(value);
      }),
    );
  });

  it('of any text is read or refused with a typed error', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void typedOrValue(() => parseDescriptor(text))));
    fc.assert(
      fc.property(descriptor, fc.string(), fc.json(), (value, key, json) => {
        const changed = { ...(JSON.parse(printDescriptor(value)) as object), [key]: JSON.parse(json) as unknown };
        typedOrValue(() => parseDescriptor(JSON.stringify(changed)));
      }),
    );
  });
});
