/**
 * @module The TD HOB: the list of memory that QEMU writes for the firmware of a TDX guest, and that is the first thing in RTMR0 (QEMU
 * hw/i386/tdvf-hob.c and target/i386/kvm/tdx.c; PI specification 1.8, volume 3, chapter 5).
 */
import { concat, layout, reserved, u16le, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { checkMemory, memoryBelow4GiB } from '../measurement/machine-memory.ts';
import type { UsableTdxSection } from '../measurement/tdx-sections.ts';

const Header = { hobType: u16le, hobLength: u16le, reserved: reserved(4) } as const;

const HandoffInfo = layout('PHIT HOB', {
  ...Header,
  version: u32le,
  bootMode: reserved(4),
  memory: reserved(32),
  endOfHobList: u64le,
});

const ResourceDescriptor = layout('resource HOB', {
  ...Header,
  owner: reserved(16),
  resourceType: u32le,
  attributes: u32le,
  start: u64le,
  length: u64le,
});

const HOB_TYPE = { handoff: 1, resource: 3 } as const;
const HANDOFF_VERSION = 9;
const END_OF_LIST_BYTES = 8;

/** Memory that the host has added and measured, and memory that the guest is still to accept. */
const RESOURCE_TYPE = { added: 0, unaccepted: 7 } as const;

/** Present, initialised, tested. */
const ATTRIBUTES = 7;

const FOUR_GIB = 2 ** 32;

/**
 * Returns the bytes of the list that firmware measures: all but the HOB that ends it, of a guest with `memory` bytes on q35. Throws
 * `usage` for an impossible size, or one in which the firmware's sections do not fit, `format` where the list does not fit its section.
 */
export function tdHob(memory: number, sections: readonly UsableTdxSection[]): Uint8Array {
  checkMemory(memory);
  const place = sections.find(({ name }) => name === 'TD_HOB');
  const added = sections.filter(({ name }) => name === 'TD_HOB' || name === 'TEMP_MEM');
  const resources = memoryMap(memory, added);
  const size = HandoffInfo.size + resources.length * ResourceDescriptor.size;
  if (place === undefined || size + END_OF_LIST_BYTES > place.size) {
    throw new BootsealError('format', `the list of memory has ${size} bytes, more than the firmware has room for`, {
      hint: 'QEMU starts no guest with this firmware: take another build',
    });
  }
  const head = HandoffInfo.pack({
    hobType: HOB_TYPE.handoff,
    hobLength: HandoffInfo.size,
    version: HANDOFF_VERSION,
    endOfHobList: BigInt(place.gpa + size + END_OF_LIST_BYTES),
  });
  return concat(head, ...resources.map(resourceHob));
}

/** A run of memory, bytes. */
interface Resource {
  readonly resourceType: number;
  readonly start: number;
  readonly length: number;
}

function resourceHob({ resourceType, start, length }: Resource): Uint8Array {
  return ResourceDescriptor.pack({
    hobType: HOB_TYPE.resource,
    hobLength: ResourceDescriptor.size,
    resourceType,
    attributes: ATTRIBUTES,
    start: BigInt(start),
    length: BigInt(length),
  });
}

/** By address: the sections that were added, the memory between them, and the memory above 4 GiB. */
function memoryMap(memory: number, added: readonly UsableTdxSection[]): readonly Resource[] {
  const below = memoryBelow4GiB(memory);
  const map: Resource[] = [];
  let start = 0;
  const gap = (end: number) => {
    if (end > start) map.push({ resourceType: RESOURCE_TYPE.unaccepted, start, length: end - start });
  };
  for (const { name, gpa, size } of [...added].sort((a, b) => a.gpa - b.gpa)) {
    if (gpa + size > below) {
      throw new BootsealError(
        'usage',
        `${below} bytes of memory end before the firmware's ${name} at 0x${gpa.toString(16)}`,
        {
          hint: 'QEMU starts no such guest: give its memory with the unit, such as 2048M or 2G',
        },
      );
    }
    gap(gpa);
    map.push({ resourceType: RESOURCE_TYPE.added, start: gpa, length: size });
    start = gpa + size;
  }
  gap(below);
  if (memory > below) {
    map.push({ resourceType: RESOURCE_TYPE.unaccepted, start: FOUR_GIB, length: memory - below });
  }
  return map;
}
