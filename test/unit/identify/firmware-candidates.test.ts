import { describe, expect, it } from 'vitest';
import { firmwareCandidates, firmwareSlips } from '../../../src/core/identify/firmware-candidates.ts';
import { firmwareOf, type MeasuredFirmware } from '../../../src/core/measurement/measure.ts';
import { failure } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

/** A footer at the end of an image of that many bytes, with zeros before it. */
function image(size: number): Uint8Array {
  const suffix = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin');
  const bytes = new Uint8Array(size);
  bytes.set(suffix.subarray(Math.max(0, suffix.length - size)), Math.max(0, size - suffix.length));
  return bytes;
}

/** Those in the order of the file. */
const candidates = (size: number) =>
  firmwareCandidates([{ name: 'fw', ...firmwareOf(image(size)) }]).filter((one) => one.reordering === undefined);

describe('firmware candidates', () => {
  it.each([
    [0x100000, 0x20000],
    [0x200000, 0x20000],
    [0x400000, 0x84000],
  ])('of a whole image of 0x%i bytes are it and its code', (size, leftOut) => {
    const [whole, code, ...others] = candidates(size);
    expect(others).toEqual([]);
    expect(whole).toMatchObject({ name: 'fw', leftOut: 0 });
    expect(code).toMatchObject({ name: 'fw', leftOut });
    // Not toEqual, which takes seconds for megabytes.
    expect(Buffer.compare(code?.measured.image ?? new Uint8Array(), image(size).subarray(leftOut))).toBe(0);
    expect(code?.measured.firmware.gpa).toBe(2 ** 32 - size + leftOut);
  });

  it('of any other image are it alone', () => {
    expect(candidates(0x300000)).toHaveLength(1);
  });

  it('of a descriptor are it alone', () => {
    const { firmware } = firmwareOf(image(0x400000));
    expect(firmwareCandidates([{ name: 'fw', firmware, snpDigest: new Uint8Array(48) }])).toHaveLength(1);
  });

  it('come with all whole files first, and those in another order of sections last', () => {
    const two = ['a', 'b'].map((name) => ({ name, ...firmwareOf(image(0x200000)) }));
    const order = firmwareCandidates(two).map((one) => [one.name, ...firmwareSlips(one)]);
    expect(order).toEqual([
      ['a'],
      ['b'],
      ['a', 'firmware-code-only'],
      ['b', 'firmware-code-only'],
      ['a', 'firmware-section-order'],
      ['b', 'firmware-section-order'],
      ['a', 'firmware-code-only', 'firmware-section-order'],
      ['b', 'firmware-code-only', 'firmware-section-order'],
    ]);
  });

  it('have another order of sections where that of edk2 changed, and all else as it was', () => {
    const types = ({ firmware }: MeasuredFirmware) => firmware.sevSections?.map(({ type }) => type).join(' ');
    const orders = (name: string) => {
      const image = fixture(name);
      const [own, other] = firmwareCandidates([{ name: 'fw', ...firmwareOf(image) }]);
      const changed = other?.measured.image ?? new Uint8Array();
      expect(image.filter((byte, i) => byte !== changed[i]).length).toBeLessThanOrEqual(24);
      return [own, other].map((one) => one && types(one.measured));
    };
    expect(orders('sev-snp-measure/ovmf_AmdSev_suffix.bin')).toEqual(['1 1 2 3 4 16 1', '1 1 2 3 4 1 16']);
    const again = firmwareOf(fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
    const [, other] = firmwareCandidates([{ name: 'fw', ...again }]);
    const back = firmwareCandidates([{ name: 'fw', ...(other?.measured ?? again) }])[1];
    expect(back?.reordering?.order).toBe('kernel-hashes-inside');
    expect(back?.measured.image).toEqual(again.image);
  });

  it.each(['sev-snp-measure/ovmf_OvmfX64_suffix.bin', 'gce-tcb-verifier/fake_sev_only.fd'])(
    'have no other order without KERNEL_HASHES: %s',
    (name) => {
      expect(firmwareCandidates([{ name: 'fw', ...firmwareOf(fixture(name)) }])).toHaveLength(1);
    },
  );

  it('with an SVSM have it at each place, then none', () => {
    const firmware = { name: 'fw', ...firmwareOf(fixture('sev-snp-measure/svsm_ovmf.fd')) };
    const svsm = { name: 'svsm', image: fixture('sev-snp-measure/svsm.bin'), varsSizes: [0x84000, 0x20000] };
    const found = firmwareCandidates([firmware], [svsm]);
    expect(found.map((one) => [one.svsm?.varsSize, one.svsm?.gpa.toString(16), ...firmwareSlips(one)])).toEqual([
      [0x84000, (0xffc84000 - 0x84000 - svsm.image.length).toString(16)],
      [0x20000, (0xffc84000 - 0x20000 - svsm.image.length).toString(16)],
      [undefined, undefined, 'svsm-missing'],
    ]);
    expect(
      failure(() => firmwareCandidates([firmware], [{ ...svsm, image: firmware.image ?? svsm.image }])),
    ).toMatchObject({
      kind: 'format',
      message: 'the SVSM file has no SVSM entry in its footer table',
    });
  });

  it('keep those below which an SVSM has no room, with the reason; an SVSM that goes below none is refused', () => {
    const firmware = { name: 'fw', ...firmwareOf(fixture('sev-snp-measure/svsm_ovmf.fd')) };
    // As a descriptor of sev-snp-measure-go has it, which does not say where the firmware lies.
    const lost = { name: 'lost', firmware: { ...firmware.firmware, gpa: 0 }, snpDigest: new Uint8Array(48) };
    const svsm = { name: 'svsm', image: fixture('sev-snp-measure/svsm.bin'), varsSizes: [0x20000] };
    const found = firmwareCandidates([lost, firmware], [svsm]);
    const reason = `SVSM of ${svsm.image.length} bytes and variables of 131072 bytes are not whole pages below the firmware`;
    expect(found.map((one) => [one.name, one.svsm?.varsSize, one.svsm?.noRoom])).toEqual([
      ['lost', 0x20000, reason],
      ['fw', 0x20000, undefined],
      ['lost', undefined, undefined],
      ['fw', undefined, undefined],
    ]);
    for (const varsSizes of [[1], [2 ** 32]]) {
      expect(failure(() => firmwareCandidates([lost, firmware], [{ ...svsm, varsSizes }]))).toMatchObject({
        kind: 'usage',
      });
    }
  });
});
