import { describe, expect, it } from 'vitest';
import { secretAreaOf } from '../../../src/core/guest/command-line.ts';
import { isKept } from '../../../src/core/guest/memory-map.ts';
import { failure } from '../../failure.ts';

describe('secretAreaOf', () => {
  it.each<[string, ReturnType<typeof secretAreaOf>]>([
    ['bootseal.secret=0x810000,0xc00', { base: 0x810000, size: 0xc00 }],
    ['initrd=initrd  root=/dev/vda\tbootseal.secret=0x810000,3072 quiet\n', { base: 0x810000, size: 0xc00 }],
    ['bootseal.secret=16,20\0', { base: 16, size: 20 }],
    ['bootseal.secret=0x0000000810000,0x0000000000c04', { base: 0x810000, size: 0xc04 }],
    ['bootseal.secret=999999999999984,32', { base: 999999999999984, size: 32 }],
    ['bootseal.secret=0xfffffffffbff0,0x4000', { base: 0xfffffffffbff0, size: 0x4000 }],
    ['root=/dev/vda', undefined],
    ['', undefined],
    ['xbootseal.secret=0x810000,0xc00', undefined],
    ['bootseal.secrets=0x810000,0xc00', undefined],
  ])('of %j', (line, area) => {
    expect(secretAreaOf(line)).toEqual(area);
  });

  it.each<[string, string]>([
    ['bootseal.secret=', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=0x810000', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=0x810000,', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=0x810000,0xc00,1', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=x0x810000,0xc00', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=-16,0xc00', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=0x10000000000000,0xc00', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=0X810000,0xc00', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=016,0xc00', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=0x810000,0x', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=1000000000000000,32', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=99999999999999999,32', 'is not of the form 0x810000,0xc00'],
    ['bootseal.secret=0x810000,0xc00 bootseal.secret=0x810000,0xc00', 'stands 2 times on it'],
    ['bootseal.secret=0,0xc00', 'names 0x0, where no secret area begins'],
    ['bootseal.secret=0x810008,0xc00', 'names 0x810008, where no secret area begins'],
    ['bootseal.secret=0xfffffffffc000,0x1000', 'names 0xfffffffffc000, where no secret area begins'],
    ['bootseal.secret=0x810000,19', 'names an area of 19 bytes: 20 to 16384 are possible'],
    ['bootseal.secret=0x810000,0x4001', 'names an area of 16385 bytes: 20 to 16384 are possible'],
  ])('refuses %j', (line, what) => {
    expect(failure(() => secretAreaOf(line))).toEqual({
      kind: 'format',
      message: `kernel command line: bootseal.secret ${what}`,
      hint: 'it takes the secret area of the firmware, as `bootseal firmware inspect` shows it: ADDRESS,SIZE',
    });
  });
});

describe('isKept', () => {
  const area = { base: 0x810000, size: 0xc00 };
  // Debian's kernel 6.1 on AmdSev OVMF under emulation.
  const list = [
    '00001000-0009ffff : System RAM',
    '00100000-007fffff : System RAM',
    '00800000-00807fff : ACPI Non-volatile Storage',
    '00808000-0080ffff : System RAM',
    '00810000-00810fff : Reserved',
    '00811000-008fffff : ACPI Non-volatile Storage',
    '00900000-3f8ecfff : System RAM',
    '  01000000-01c0217d : Kernel code',
    '',
  ];
  const changed = (line: string) => list.map((one, i) => (i === 4 ? line : one)).join('\n');

  it('finds the reserved page', () => {
    expect(isKept(list.join('\n'), area)).toEqual({ kept: true });
    expect(isKept(changed('00810000-00810bff : reserved'), area)).toEqual({ kept: true });
    expect(
      isKept(changed('00000000-00820000 : System RAM\n  00810000-00810fff : Reserved'), { ...area, size: 0x1000 }),
    ).toEqual({
      kept: true,
    });
  });
  it.each<[string, string, string | null]>([
    ['memory in use', changed('00810000-00810fff : System RAM'), 'System RAM'],
    ['a page that ends before', changed('00810000-00810bfe : Reserved'), 'Reserved'],
    ['a page that begins behind', changed('00810001-00810fff : Reserved'), 'Reserved'],
    [
      'something in the page',
      changed('00810000-00810fff : Reserved\n  00810bff-00810bff : Kernel data'),
      'Kernel data',
    ],
    ['two halves', changed('00810000-008107ff : Reserved\n00810800-00810fff : Reserved'), 'Reserved'],
    ['a gap', changed(''), null],
    ['zeros, for whoever is not root', '00000000-00000000 : Reserved\n', null],
    ['nothing', '', null],
    ['something else', 'hello', null],
  ])('does not with %s', (_, iomem, found) => {
    expect(isKept(iomem, area)).toEqual({ kept: false, found });
  });
});
