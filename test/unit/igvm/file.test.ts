import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/bytes.ts';
import { crc32 } from '../../../src/core/disk/crc32.ts';
import { MAX_IGVM_BYTES, parseIgvm } from '../../../src/core/igvm/file.ts';
import {
  GuestPolicy,
  isIgvm,
  PageData,
  ParameterArea,
  ParameterInsert,
  VpContext,
} from '../../../src/core/igvm/headers.ts';
import { failure } from '../../failure.ts';
import { headersOf, igvmImage, igvmOf, pageOf, type RawHeader } from '../../igvm-image.ts';

const PLATFORM = headersOf({ platforms: [{ type: 2, mask: 1 }], directives: [] }, () => 0);
const withHeaders = (...headers: RawHeader[]) => igvmOf([...PLATFORM, ...headers]);
const page = (over: Partial<ReturnType<typeof PageData.unpack>> = {}): RawHeader => ({
  type: 0x302,
  payload: PageData.pack({ gpa: 0x1000n, mask: 1, fileOffset: 0, flags: 0, type: 0, reserved: 0, ...over }),
});
const area = (size: bigint, index = 0, fileOffset = 0): RawHeader => ({
  type: 0x301,
  payload: ParameterArea.pack({ size, index, fileOffset }),
});
const insert = (gpa: bigint, index = 0): RawHeader => ({
  type: 0x303,
  payload: ParameterInsert.pack({ gpa, mask: 1, index }),
});
const vcpu = (over: Partial<ReturnType<typeof VpContext.unpack>> = {}): RawHeader => ({
  type: 0x304,
  payload: VpContext.pack({ gpa: 0xfffffffff000n, mask: 1, fileOffset: 0, vcpu: 0, ...over }),
});
const refusal = (file: Uint8Array) => {
  const { kind, message, hint } = failure(() => parseIgvm(file));
  expect(kind).toBe('format');
  expect(hint).toBe(
    'take the file again from where it was built; igvmbuilder of COCONUT SVSM and igvmfilegen of OpenVMM make such files',
  );
  return message;
};

describe('parseIgvm', () => {
  it('reads platforms, policies and directives in file order', () => {
    const file = parseIgvm(
      igvmImage({
        platforms: [
          { type: 2, mask: 1 },
          { type: 3, mask: 0x80000000 },
        ],
        policies: [{ policy: '0x30000', mask: 1 }],
        directives: [
          { kind: 'area', index: 4, size: 0x3000 },
          { kind: 'memory', gpa: '0x0', mask: 1, size: 0x1000 },
          { kind: 'insert', gpa: '0x9000', mask: 0x80000001, index: 4 },
          { kind: 'page', gpa: '0x200000', mask: 1, flags: 7, type: 3, data: 5 },
          { kind: 'page', gpa: '0x1000', mask: 0x80000000, flags: 0, type: 1, data: null },
          { kind: 'vcpu', gpa: '0xfffffffff000', mask: 1, vcpu: 2, data: 6 },
          { kind: 'id-block', mask: 1, digest: '11'.repeat(48) },
        ],
      }),
    );
    const { directives, ...rest } = file;
    expect(rest).toEqual({
      version: 1,
      platforms: [
        { type: 'snp', mask: 1, highestVtl: 0, sharedBoundary: 0n },
        { type: 'tdx', mask: 0x80000000, highestVtl: 0, sharedBoundary: 0n },
      ],
      policies: [{ policy: 0x30000n, mask: 1 }],
      types: [0x1, 0x101, 0x301, 0x305, 0x303, 0x302, 0x304, 0x30b],
    });
    expect(directives).toMatchObject([
      { kind: 'insert', gpa: 0x9000n, mask: 0x80000001, area: 4, size: 0x3000 },
      {
        kind: 'page',
        index: 3,
        gpa: 0x200000n,
        mask: 1,
        type: 'cpuid',
        large: true,
        unmeasured: true,
        shared: true,
        data: pageOf(5),
      },
      {
        kind: 'page',
        index: 4,
        gpa: 0x1000n,
        mask: 0x80000000,
        type: 'secrets',
        large: false,
        unmeasured: false,
        shared: false,
        data: undefined,
      },
      { kind: 'vcpu', gpa: 0xfffffffff000n, mask: 1, vcpu: 2, page: pageOf(6) },
      { kind: 'id-block', mask: 1, block: { digest: new Uint8Array(48).fill(0x11), version: 1, idKeyAlgorithm: 1 } },
    ]);
    expect(directives).toHaveLength(5);
  });

  it('knows an IGVM file by its first four bytes', () => {
    expect(isIgvm(Buffer.from('IGVM'))).toBe(true);
    expect(['IGV', 'IGVm', 'xGVM', 'IxVM', 'IGxM', ''].map((text) => isIgvm(Buffer.from(text)))).toEqual(
      Array(6).fill(false),
    );
    expect(refusal(Buffer.from('ELF'))).toBe('IGVM: the file does not begin with "IGVM"');
  });

  it('has at most 256 MiB', () => {
    expect(refusal(new Uint8Array(MAX_IGVM_BYTES + 1))).toBe(
      'IGVM: 268435457 bytes are more than the 268435456 accepted here',
    );
  });

  it('refuses a header that does not fit the file', () => {
    expect(failure(() => parseIgvm(Buffer.from('IGVM')))).toMatchObject({ kind: 'format' });
    const size = igvmOf(PLATFORM).length;
    expect(refusal(concat(igvmOf(PLATFORM), Uint8Array.of(0)))).toBe(
      `IGVM: the file has ${size + 1} bytes, its header says ${size}`,
    );
    expect(refusal(igvmOf(PLATFORM, undefined, { version: 3 }))).toBe(
      'IGVM: version 3 of the format is not known, only 1 and 2 are',
    );
    for (const fixed of [
      { variableOffset: 16, variableSize: 24 },
      { variableOffset: 28, variableSize: 16 },
      { variableOffset: 24, variableSize: 33 },
      { variableOffset: 0xfffffff8, variableSize: 0xffffffff },
    ]) {
      expect(refusal(igvmOf(PLATFORM, undefined, fixed))).toBe(
        `IGVM: variable headers at ${fixed.variableOffset} with ${fixed.variableSize} bytes do not fit`,
      );
    }
  });

  it('refuses a wrong checksum, which covers the headers and not the data', () => {
    const file = igvmImage({
      platforms: [{ type: 2, mask: 1 }],
      directives: [{ kind: 'page', gpa: '0x1000', mask: 1, flags: 0, type: 0, data: 1 }],
    });
    const flipped = (at: number) => file.map((byte, i) => (i === at ? byte ^ 1 : byte));
    expect(parseIgvm(flipped(file.length - 1)).directives).toHaveLength(1);
    expect(refusal(flipped(24 + 8))).toMatch(/^IGVM: the headers' checksum is 0x[0-9a-f]+, the file says 0x[0-9a-f]+$/);
    expect(refusal(igvmOf(PLATFORM, undefined, { checksum: 0 }))).toMatch(/the file says 0x0$/);
  });

  it('reads version 2 for x86-64 with pages of 4096 bytes', () => {
    const version2 = (architecture: number, pageSize: number) => {
      const one = igvmOf(PLATFORM);
      const tail = new Uint8Array(Uint32Array.of(architecture, pageSize).buffer);
      const file = concat(one.subarray(0, 24), tail, one.subarray(24));
      const view = new DataView(file.buffer);
      for (const [at, value] of [
        [4, 2],
        [8, 32],
        [16, file.length],
        [20, 0],
      ] as const)
        view.setUint32(at, value, true);
      view.setUint32(20, crc32(file.subarray(0, -8)), true);
      return file;
    };
    expect(parseIgvm(version2(0, 4096))).toMatchObject({ version: 2, platforms: [{ type: 'snp' }] });
    expect(refusal(version2(1, 4096))).toBe('IGVM: architecture 1 is not x86-64');
    expect(refusal(version2(0, 65536))).toBe('IGVM: pages have 65536 bytes, not 4096');
  });

  it('refuses variable headers that leave their section, or come in another order', () => {
    const file = withHeaders(page());
    const view = new DataView(file.buffer);
    const last = file.length - 8 - 32;
    view.setUint32(last + 4, 25, true);
    view.setUint32(20, 0, true);
    view.setUint32(20, crc32(file.subarray(0, -8)), true);
    expect(refusal(file)).toBe('IGVM: header 1 (type 0x302): 25 bytes leave the variable headers');
    const policy = { type: 0x101, payload: GuestPolicy.pack({ policy: 0n, mask: 1 }) };
    expect(parseIgvm(withHeaders(policy, page())).policies).toHaveLength(1);
    expect(refusal(withHeaders(page(), policy))).toBe(
      'IGVM: header 2 (type 0x101): it comes after headers of a later section',
    );
  });

  it('passes over unknown types that are optional, and refuses those that are not', () => {
    const unknown = (type: number) => ({ type, payload: new Uint8Array(4) });
    expect(parseIgvm(withHeaders(unknown(0x80000399), page())).directives).toHaveLength(1);
    for (const type of [0, 0x2, 0x106, 0x107, 0x250, 0x306, 0x314, 0x401, 0x7fffffff]) {
      expect(refusal(withHeaders(unknown(type)))).toBe(
        `IGVM: header 1 (type 0x${type.toString(16)}): loaders must know this type, and none is known`,
      );
    }
    expect(refusal(withHeaders({ ...page(), type: 0x80000302 }))).toBe(
      'IGVM: header 1 (type 0x80000302): loaders disagree on a known type that is marked as optional',
    );
    expect(parseIgvm(withHeaders(unknown(0x313))).directives).toEqual([]);
  });

  it('refuses platforms that are unknown, come twice, or have not one bit of their own', () => {
    const platforms = (...list: { type: number; mask: number }[]) => igvmImage({ platforms: list, directives: [] });
    expect(refusal(igvmOf([]))).toBe('IGVM: the file names no platform that it is for');
    expect(refusal(platforms({ type: 7, mask: 1 }))).toBe('IGVM: header 0 (type 0x1): platform 7 is not known');
    for (const mask of [0, 3, 0x80000001]) {
      expect(refusal(platforms({ type: 2, mask }))).toBe(
        `IGVM: header 0 (type 0x1): mask 0x${mask.toString(16)} has not one bit`,
      );
    }
    expect(refusal(platforms({ type: 2, mask: 1 }, { type: 2, mask: 2 }))).toBe(
      'IGVM: header 1 (type 0x1): platform snp comes twice',
    );
    expect(refusal(platforms({ type: 2, mask: 1 }, { type: 5, mask: 1 }))).toBe(
      'IGVM: header 1 (type 0x1): platforms snp and sev-es have one mask',
    );
    const version = PLATFORM[0]?.payload.slice() ?? new Uint8Array();
    version[6] = 2;
    expect(refusal(igvmOf([{ type: 1, payload: version }]))).toBe(
      'IGVM: header 0 (type 0x1): version 2 of platform snp is not known',
    );
    expect(refusal(igvmOf([{ type: 1, payload: version.subarray(1) }]))).toBe(
      'IGVM: header 0 (type 0x1): 15 bytes instead of 16',
    );
  });

  it('refuses directives of another size than their type has', () => {
    for (const [type, size] of [
      [0x301, 16],
      [0x302, 24],
      [0x303, 16],
      [0x304, 20],
      [0x30b, 696],
      [0x101, 16],
    ]) {
      expect(refusal(withHeaders({ type: type ?? 0, payload: new Uint8Array((size ?? 0) - 1) }))).toBe(
        `IGVM: header 1 (type 0x${type?.toString(16)}): ${(size ?? 0) - 1} bytes instead of ${size}`,
      );
    }
  });

  it('refuses pages of unknown kind, and addresses that are no pages', () => {
    const where = 'IGVM: header 1 (type 0x302): ';
    expect(refusal(withHeaders(page({ type: 4 })))).toBe(`${where}page data of type 4 are not known`);
    for (const over of [{ flags: 8 }, { flags: 0x80000000 }, { reserved: 1 }]) {
      expect(refusal(withHeaders(page(over)))).toBe(
        `${where}flags 0x${(over.flags ?? 0).toString(16)} or reserved bytes have a meaning that is not known`,
      );
    }
    expect(refusal(withHeaders(page({ gpa: 0x1800n })))).toBe(`${where}address 0x1800 is no multiple of 0x1000`);
    expect(refusal(withHeaders(page({ flags: 1 })))).toBe(`${where}address 0x1000 is no multiple of 0x200000`);
    expect(refusal(withHeaders(area(0x1000n), insert(0x10n)))).toBe(
      'IGVM: header 2 (type 0x303): address 0x10 is no multiple of 0x1000',
    );
    expect(refusal(withHeaders(vcpu({ gpa: 1n })))).toBe(
      'IGVM: header 1 (type 0x304): address 0x1 is no multiple of 0x1000',
    );
  });

  it('takes data from the file data alone', () => {
    const data = 24 + 24 + 32;
    const file = (fileOffset: number) => igvmOf([...PLATFORM, page({ fileOffset })], new Uint8Array(4096));
    expect(parseIgvm(file(data)).directives).toHaveLength(1);
    for (const offset of [1, data - 1, data + 1, 0xffffffff]) {
      expect(refusal(file(offset))).toBe(
        `IGVM: header 1 (type 0x302): 4096 bytes at ${offset} are not within the file data`,
      );
    }
    expect(refusal(withHeaders(area(0x1000n, 0, 72)))).toBe(
      'IGVM: header 1 (type 0x301): 4096 bytes at 72 are not within the file data',
    );
  });

  it('refuses a file without data behind its headers', () => {
    expect(refusal(igvmOf([...PLATFORM, page()], new Uint8Array()))).toBe(
      'IGVM: the file ends with its variable headers: no loader reads one without file data',
    );
  });

  it('reads CPU state of one platform, a whole page but for VSM', () => {
    const file = (over: Parameters<typeof vcpu>[0], bytes: number, type = 2) =>
      igvmOf(
        [...headersOf({ platforms: [{ type, mask: 1 }], directives: [] }, () => 0), vcpu(over)],
        new Uint8Array(bytes),
      );
    const at = 24 + 24 + 32;
    expect(parseIgvm(file({ fileOffset: at }, 4097)).directives).toMatchObject([{ page: new Uint8Array(4096) }]);
    expect(parseIgvm(file({ fileOffset: at }, 100, 1)).directives).toMatchObject([{ page: new Uint8Array(100) }]);
    for (const type of [0, 2, 4, 5]) {
      expect(parseIgvm(file({ fileOffset: at }, 4096, type)).directives).toHaveLength(1);
      expect(refusal(file({ fileOffset: at }, 4095, type))).toBe(
        'IGVM: header 1 (type 0x304): 4095 bytes of CPU state at the end of the file, not 4096',
      );
    }
    for (const [type, name] of [
      [3, 'tdx'],
      [6, 'cca'],
    ] as const) {
      expect(refusal(file({ fileOffset: at }, 4096, type))).toBe(
        `IGVM: header 1 (type 0x304): CPU state for ${name}, which has none in files for x86-64`,
      );
    }
    expect(refusal(file({}, 4096))).toContain('at 0 are not within the file data');
    expect(refusal(file({ fileOffset: at + 4097 }, 4096))).toContain('are not within the file data');
    for (const mask of [0, 2, 3]) {
      expect(refusal(file({ fileOffset: at, mask }, 4096))).toBe(
        `IGVM: header 1 (type 0x304): CPU state for mask 0x${mask.toString(16)}, which is not that of one platform`,
      );
    }
  });

  it('inserts each parameter area once, after it is declared', () => {
    for (const size of [0n, 0x1001n, 2n ** 30n + 0x1000n, 2n ** 64n - 0x1000n]) {
      expect(refusal(withHeaders(area(size)))).toBe(
        `IGVM: header 1 (type 0x301): a parameter area of 0x${size.toString(16)} bytes: whole pages are needed, at most 1 GiB`,
      );
    }
    expect(parseIgvm(withHeaders(area(2n ** 30n), insert(0n))).directives).toMatchObject([{ size: 2 ** 30 }]);
    expect(refusal(withHeaders(area(0x1000n), area(0x1000n)))).toBe(
      'IGVM: header 2 (type 0x301): parameter area 0 comes twice',
    );
    expect(refusal(withHeaders(insert(0n, 1)))).toBe(
      'IGVM: header 1 (type 0x303): parameter area 1 is not declared before',
    );
    expect(refusal(withHeaders(area(0x1000n), insert(0n), insert(0n)))).toBe(
      'IGVM: header 3 (type 0x303): parameter area 0 is inserted twice',
    );
  });
});
