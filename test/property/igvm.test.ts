import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/core/disk/crc32.ts';
import { bytesToHex } from '../../src/core/hex.ts';
import { parseIgvm } from '../../src/core/igvm/file.ts';
import { measureIgvm } from '../../src/core/measurement/igvm.ts';
import type { IgvmLoader } from '../../src/core/measurement/igvm-loaders.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { typedOrValue } from '../failure.ts';
import { vectors } from '../fixtures.ts';
import { type DirectiveRecipe, type IgvmRecipe, igvmImage } from '../igvm-image.ts';

const { files } = vectors<{ readonly files: readonly IgvmRecipe[] }>('igvm.json');
const LOADERS: readonly IgvmLoader[] = ['qemu', 'coconut', 'microsoft'];

const check = (bytes: Uint8Array) => {
  const file = typedOrValue(() => parseIgvm(bytes));
  if (file === undefined) return;
  for (const loader of LOADERS) typedOrValue(() => measureIgvm({ file, loader, plan: true }, nodeHashes));
};

describe('any bytes', () => {
  it('are read as an IGVM file or refused with a typed error', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), check));
  });

  it('are read as the variable headers of a file or refused', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.constantFrom(...files),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (bytes, recipe, share) => {
          const file = igvmImage(recipe);
          const end = 24 + new DataView(file.buffer).getUint32(12, true);
          file.set(bytes.subarray(0, end - 24), 24 + Math.floor(share * Math.max(0, end - 24 - bytes.length)));
          check(sealed(file));
        },
      ),
    );
  });

  it('may stand at any place of the headers of a good file, and be cut off anywhere', () => {
    const edits = fc.array(fc.tuple(fc.nat(400), fc.constantFrom(0, 1, 2, 4, 0x7f, 0x80, 0xff)), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(fc.constantFrom(...files), edits, fc.option(fc.nat(9000)), (recipe, changes, cut) => {
        const file = igvmImage(recipe);
        for (const [at, value] of changes) if (at < file.length) file[at] = value;
        check(sealed(cut === null ? file : file.subarray(0, cut)));
      }),
    );
  });
});

/** With a checksum that is right, so that what is behind it is reached. */
function sealed(bytes: Uint8Array): Uint8Array {
  const file = bytes.slice();
  if (file.length < 24) return file;
  const view = new DataView(file.buffer);
  const [at, size] = [view.getUint32(8, true), view.getUint32(12, true)];
  view.setUint32(20, 0, true);
  const covered = Uint8Array.from([...file.subarray(0, 24), ...file.subarray(at, at + size)]);
  view.setUint32(20, crc32(covered), true);
  return file;
}

/** Pages behind the one before; -2 goes back, and may be a page that is there. */
const gap = fc.constantFrom(0, 0, 0, 1, 1, -2).map((pages) => `${pages}`);
const mask = fc.constantFrom(1, 2, 3);
/** XCR0, sev_features, RIP, EFER, CR4, and now and then CPL, which QEMU does not take, or a byte behind the save area. */
const vmsa = fc
  .tuple(
    fc.constantFrom('00', '01', '01', '01'),
    fc.constantFrom('00', '01', '01', '21'),
    fc.nat(255),
    fc.constantFrom('0000', '0010', '0010', '0011'),
    fc.constantFrom('00', '40', '40'),
    fc.constantFrom('00', '02', '02'),
    fc.constantFrom(undefined, undefined, 0xcb, 0xfff),
  )
  .map(([xcr0, features, rip, efer, cr4, rflags, more]) => [
    [0x3e8, xcr0] as const,
    [0x3b0, features] as const,
    [0x178, rip.toString(16).padStart(2, '0')] as const,
    [0xd0, efer] as const,
    [0x148, cr4] as const,
    [0x158, '10'] as const,
    [0x170, rflags] as const,
    ...(more === undefined ? [] : [[more, '03'] as const]),
  ]);
const directive: fc.Arbitrary<DirectiveRecipe> = fc.oneof(
  fc.record({
    kind: fc.constant('page' as const),
    gpa: gap,
    mask,
    flags: fc.constantFrom(0, 0, 0, 2, 4, 6),
    type: fc.constantFrom(0, 0, 0, 1, 2),
    data: fc.option(fc.nat(255)),
  }),
  fc.record({ kind: fc.constant('insert' as const), gpa: gap, mask, index: fc.nat(0) }),
  fc.record({
    kind: fc.constant('vcpu' as const),
    gpa: fc.constantFrom('0xfffffffff000', '0x1000'),
    mask: fc.constantFrom(1, 2),
    vcpu: fc.nat(2),
    data: fc.oneof({ weight: 1, arbitrary: fc.nat(255) }, { weight: 4, arbitrary: vmsa }),
  }),
);
const recipe = fc
  .record({
    platforms: fc.constant([
      { type: 2, mask: 1 },
      { type: 5, mask: 2 },
    ]),
    policies: fc.constantFrom([], [{ policy: '0x30000', mask: 1 }]),
    directives: fc.array(directive, { maxLength: 8 }),
    size: fc.constantFrom(4096, 8192),
  })
  .map(({ directives, size, ...rest }): IgvmRecipe => {
    let areas = 0;
    let next = 0x10;
    const place = (pages: string, count: number) => {
      const page = next + Number(pages);
      next = page + count;
      return `0x${(page * 4096).toString(16)}`;
    };
    return {
      ...rest,
      directives: directives.flatMap((one): DirectiveRecipe[] => {
        if (one.kind === 'page') return [{ ...one, gpa: place(one.gpa, 1) }];
        if (one.kind !== 'insert') return [one];
        const gpa = place(one.gpa, size / 4096);
        return [
          { kind: 'area', index: areas, size },
          { ...one, gpa, index: areas++ },
        ];
      }),
    };
  });

describe('where loaders give different digests', () => {
  it('a difference is named, on every platform', () => {
    fc.assert(
      fc.property(recipe, fc.constantFrom('snp' as const, 'sev-es' as const), (made, platform) => {
        const file = parseIgvm(igvmImage(made));
        for (const loader of LOADERS) {
          const result = typedOrValue(() => measureIgvm({ file, platform, loader }, nodeHashes));
          if (result === undefined) continue;
          const outcomes = LOADERS.filter((one) => platform === 'snp' || one !== 'microsoft').map((one) => {
            const other = typedOrValue(() => measureIgvm({ file, platform, loader: one }, nodeHashes));
            return other === undefined ? 'stops' : bytesToHex(other.digest);
          });
          if (new Set(outcomes).size > 1) expect(result.differences).not.toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('any changed bit of measured contents', () => {
  it('changes the digest', () => {
    const made = files.find(({ platforms }) => platforms.length === 1);
    if (made === undefined) throw new Error('no file');
    const image = igvmImage(made);
    const start = 24 + new DataView(image.buffer).getUint32(12, true);
    const digest = (bytes: Uint8Array) => bytesToHex(measureIgvm({ file: parseIgvm(bytes) }, nodeHashes).digest);
    const before = digest(image);
    // The first two pages of data are plain and measured.
    fc.assert(
      fc.property(fc.nat(8191), fc.nat(7), (at, bit) => {
        const changed = image.map((byte, i) => (i === start + at ? byte ^ (1 << bit) : byte));
        expect(digest(changed)).not.toBe(before);
      }),
    );
  });
});
