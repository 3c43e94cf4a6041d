/**
 * @module A new FAT32 file system, planned: what bytes go where, and which files (Microsoft FAT32 File System Specification
 * 1.03). It is written once and from nothing, so that every file and folder is one run of clusters.
 */
import { concat, layout, magic, reserved, u8, u16le, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { ATTRIBUTES, ENTRY_SIZE, encodeEntry, entryCount, type FatEntry } from './fat-directory.ts';
import { type FatName, fatNames } from './fat-names.ts';

/** A file, by a name that whoever writes it understands. */
export interface FatFile {
  readonly kind: 'file';
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly source: string;
}

export interface FatFolder {
  readonly kind: 'folder';
  readonly name: string;
  readonly entries: readonly FatNode[];
}

export type FatNode = FatFile | FatFolder;

/** What the file system is like. */
export interface FatOptions {
  /** Bytes: whole sectors of 512. */
  readonly size: number;
  /** Bytes before it on the disk. */
  readonly at: number;
  readonly volumeId: number;
}

/** What goes where, in bytes from the start of the file system; all that is not named is zero. */
export type FatExtent =
  | { readonly kind: 'bytes'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly at: number; readonly size: number; readonly source: string };

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const BOOT_MAGIC = Uint8Array.of(0x55, 0xaa);
const NAME = ascii('ESP        ');

const BootSector = layout('FAT32 boot sector', {
  // A jump over the fields: the specification wants one, and firmware does not follow it.
  jump: magic(Uint8Array.of(0xeb, 0x58, 0x90)),
  // The name that the specification recommends, since some readers look at it.
  oemName: magic(ascii('MSWIN4.1')),
  bytesPerSector: u16le,
  sectorsPerCluster: u8,
  reservedSectors: u16le,
  fats: u8,
  rootEntries16: reserved(2),
  sectors16: reserved(2),
  media: u8,
  fatSectors16: reserved(2),
  sectorsPerTrack: u16le,
  heads: u16le,
  hiddenSectors: u32le,
  sectors: u32le,
  fatSectors: u32le,
  flags: reserved(2),
  version: reserved(2),
  rootCluster: u32le,
  infoSector: u16le,
  backupSector: u16le,
  unused: reserved(12),
  drive: u8,
  unused1: reserved(1),
  bootSignature: u8,
  volumeId: u32le,
  label: magic(NAME),
  type: magic(ascii('FAT32   ')),
  code: reserved(420),
  magic: magic(BOOT_MAGIC),
});

const InfoSector = layout('FAT32 FSInfo sector', {
  lead: magic(ascii('RRaA')),
  unused: reserved(480),
  signature: magic(ascii('rrAa')),
  freeClusters: u32le,
  nextFree: u32le,
  unused1: reserved(14),
  magic: magic(BOOT_MAGIC),
});

const SECTOR = 512;
const RESERVED = 32;
const INFO_SECTOR = 1;
const BACKUP_SECTOR = 6;
const FATS = 2;
const MEDIA = 0xf8;
const FIRST_CLUSTER = 2;
const END_OF_CHAIN = 0x0fffffff;
/** With fewer it would be FAT16. */
const MIN_CLUSTERS = 65525;
const MAX_SECTORS = 0xffffffff;
const MAX_FILE = 0xffffffff;
const MAX_DIRECTORY = 65536 * ENTRY_SIZE;

/** Largest size for each size of clusters, in sectors (the specification's DskTableFAT32). */
const CLUSTERS: readonly (readonly [number, number])[] = [
  [260 << 20, 1],
  [8 * 2 ** 30, 8],
  [16 * 2 ** 30, 16],
  [32 * 2 ** 30, 32],
  [Number.POSITIVE_INFINITY, 64],
];

interface Geometry {
  readonly sectors: number;
  /** Sectors. */
  readonly perCluster: number;
  readonly fatSectors: number;
  readonly clusters: number;
}

/** A node with its name in the directory and its run of clusters. */
interface Placed {
  readonly node: FatNode;
  readonly name: FatName;
  readonly cluster: number;
  readonly children: readonly Placed[];
}

/**
 * Plans a file system with these files.
 *
 * @throws `usage` when they do not fit, when a name cannot be held, and for a size that FAT32 cannot have
 */
export function planFat32(root: readonly FatNode[], { size, at, volumeId }: FatOptions): readonly FatExtent[] {
  const geometry = geometryOf(size);
  const clusterSize = geometry.perCluster * SECTOR;
  const fat: number[] = [0x0fffff00 | MEDIA, END_OF_CHAIN];
  const take = (length: number): number => {
    const first = fat.length;
    const count = Math.ceil(length / clusterSize);
    if (first - FIRST_CLUSTER + count > geometry.clusters) throw full(size);
    for (let i = 1; i < count; i++) fat.push(first + i);
    if (count > 0) fat.push(END_OF_CHAIN);
    return count === 0 ? 0 : first;
  };
  const rootCluster = take(directorySize(root, 1));
  const placed = place(root, take);
  const areaAt = (RESERVED + FATS * geometry.fatSectors) * SECTOR;
  const clusterAt = (cluster: number): number => areaAt + (cluster - FIRST_CLUSTER) * clusterSize;
  const start = startSectors(geometry, at, volumeId, fat.length - FIRST_CLUSTER);
  const table = new Uint8Array(fat.length * 4);
  for (const [i, next] of fat.entries()) u32le.encode(next, table, 4 * i, 'FAT');
  const label = encodeEntry({
    name: { short: NAME, long: undefined },
    attributes: ATTRIBUTES.label,
    cluster: 0,
    size: 0,
  });
  return [
    ...contents(placed, 0, clusterAt),
    {
      kind: 'bytes',
      at: clusterAt(rootCluster),
      bytes: concat(label, ...placed.map((child) => encodeEntry(entryOf(child)))),
    },
    ...Array.from({ length: FATS }, (_, i): FatExtent => {
      return { kind: 'bytes', at: (RESERVED + i * geometry.fatSectors) * SECTOR, bytes: table };
    }),
    { kind: 'bytes', at: 0, bytes: start },
  ];
}

function geometryOf(size: number): Geometry {
  const sectors = Math.floor(size / SECTOR);
  const perCluster = CLUSTERS.find(([largest]) => size <= largest)?.[1] ?? 1;
  // The smallest F that holds (clusters + 2) entries of 4 bytes, where clusters = (sectors - RESERVED - FATS * F) / perCluster.
  const fatSectors = Math.ceil((sectors - RESERVED + 2 * perCluster) / (perCluster * (SECTOR / 4) + FATS));
  const clusters = Math.floor((sectors - RESERVED - FATS * fatSectors) / perCluster);
  if (clusters < MIN_CLUSTERS || sectors > MAX_SECTORS) {
    throw new BootsealError('usage', `an EFI system partition of ${size} bytes is not possible: 34 MiB to 2 TiB are`, {
      hint: 'give an --esp-size in between, or fewer files',
    });
  }
  return { sectors, perCluster, fatSectors, clusters };
}

function full(size: number): BootsealError {
  return new BootsealError('usage', `the files do not fit into an EFI system partition of ${size} bytes`, {
    hint: 'give a larger --esp-size',
  });
}

/** Returns bytes; `own` entries are the label of the root, or `.` and `..`. */
function directorySize(entries: readonly FatNode[], own: number): number {
  const names = fatNames(entries.map(({ name }) => name));
  const size = names.reduce((sum, name) => sum + entryCount(name), own) * ENTRY_SIZE;
  if (size > MAX_DIRECTORY) {
    throw new BootsealError('usage', 'a folder has more entries than a directory of FAT holds', {
      hint: 'put the files into several folders',
    });
  }
  return size;
}

function place(nodes: readonly FatNode[], take: (length: number) => number): readonly Placed[] {
  const names = fatNames(nodes.map(({ name }) => name));
  return nodes.map((node, i): Placed => {
    const name = names[i] as FatName;
    if (node.kind === 'folder') {
      const cluster = take(directorySize(node.entries, 2));
      return { node, name, cluster, children: place(node.entries, take) };
    }
    if (node.size > MAX_FILE) {
      throw new BootsealError('usage', `${node.source} is too large: FAT has files of less than 4 GiB`, {
        hint: 'take the file out of the folder of --esp',
      });
    }
    return { node, name, cluster: take(node.size), children: [] };
  });
}

/** Returns files and folders below a folder; `parent` is its cluster, 0 for the root. */
function contents(placed: readonly Placed[], parent: number, clusterAt: (cluster: number) => number): FatExtent[] {
  return placed.flatMap((child): FatExtent[] => {
    const { node, cluster, children } = child;
    if (node.kind === 'file') {
      return node.size === 0 ? [] : [{ kind: 'file', at: clusterAt(cluster), size: node.size, source: node.source }];
    }
    const dot = (short: string, to: number): FatEntry => {
      return { name: { short: ascii(short), long: undefined }, attributes: ATTRIBUTES.folder, cluster: to, size: 0 };
    };
    const entries = [dot('.          ', cluster), dot('..         ', parent), ...children.map(entryOf)];
    return [
      { kind: 'bytes', at: clusterAt(cluster), bytes: concat(...entries.map(encodeEntry)) },
      ...contents(children, cluster, clusterAt),
    ];
  });
}

function entryOf({ node, name, cluster }: Placed): FatEntry {
  const isFile = node.kind === 'file';
  return { name, attributes: isFile ? ATTRIBUTES.file : ATTRIBUTES.folder, cluster, size: isFile ? node.size : 0 };
}

/** Boot sector and FSInfo, and the copies of both. */
function startSectors(geometry: Geometry, at: number, volumeId: number, used: number): Uint8Array {
  const boot = BootSector.pack({
    bytesPerSector: SECTOR,
    sectorsPerCluster: geometry.perCluster,
    reservedSectors: RESERVED,
    fats: FATS,
    media: MEDIA,
    sectorsPerTrack: 63,
    heads: 255,
    hiddenSectors: at / SECTOR,
    sectors: geometry.sectors,
    fatSectors: geometry.fatSectors,
    rootCluster: FIRST_CLUSTER,
    infoSector: INFO_SECTOR,
    backupSector: BACKUP_SECTOR,
    drive: 0x80,
    bootSignature: 0x29,
    volumeId,
  });
  const nextFree = FIRST_CLUSTER + used;
  const info = InfoSector.pack({ freeClusters: geometry.clusters - used, nextFree });
  const start = new Uint8Array(RESERVED * SECTOR);
  for (const sector of [0, BACKUP_SECTOR]) start.set(concat(boot, info), sector * SECTOR);
  return start;
}
