/** @module Whether the partition table of a disk is the one that the manifest of its image says. */
import { BootsealError } from '../errors.ts';
import { isObject, type JsonFields } from '../json-fields.ts';
import type { Gpt, Partition } from './read-gpt.ts';
import { attributesText, type PartitionTable } from './shape.ts';

type Claimed = PartitionTable['partitions'][number];

/** What is compared of a partition. */
const FIELDS = ['name', 'type', 'guid', 'offset', 'bytes', 'attributes'] as const;

/**
 * Says what of a table is not as a manifest says, each as a sentence without a full stop.
 *
 * @param table undefined where the disk has none
 * @param claimed the manifest's `partitionTable`: null for a disk without one, undefined for a manifest that does not say
 * @param manifest its name, for the sentences
 * @throws `format` when `claimed` is none of these
 */
export function tableProblems(table: Gpt | undefined, claimed: unknown, manifest: string): readonly string[] {
  if (claimed === undefined) return [];
  if (claimed === null) {
    return table === undefined ? [] : [`the disk has a partition table, and ${manifest} says that it has none`];
  }
  const wanted = parseTable(claimed, manifest);
  if (table === undefined) return [`the disk has no partition table, and ${manifest} says what is in it`];
  const numbers = new Set([...wanted.partitions, ...table.partitions].map(({ number }) => number));
  return [
    ...(table.guid === wanted.guid ? [] : [`the GUID of the partition table is not the one that ${manifest} says`]),
    ...[...numbers].flatMap((number) => {
      const [found, said] = [table, wanted].map(({ partitions }) => partitions.find((one) => one.number === number));
      return partitionProblems(number, found as Partition | undefined, said as Claimed | undefined, manifest);
    }),
  ];
}

function partitionProblems(
  number: number,
  found: Partition | undefined,
  said: Claimed | undefined,
  manifest: string,
): readonly string[] {
  if (found === undefined) return [`partition ${number} is missing, and ${manifest} says what it is`];
  if (said === undefined) return [`partition ${number} is there, and ${manifest} knows nothing of it`];
  const is = { ...found, offset: found.at, bytes: found.size, attributes: attributesText(found.attributes) };
  const other = FIELDS.filter((field) => is[field] !== said[field]);
  return other.length === 0 ? [] : [`partition ${number} is not as ${manifest} says: other ${other.join(', ')}`];
}

function parseTable(claimed: unknown, manifest: string): Pick<PartitionTable, 'guid' | 'partitions'> {
  const { guid, partitions }: JsonFields = isObject(claimed) ? claimed : {};
  if (typeof guid === 'string' && Array.isArray(partitions) && partitions.every(isPartition) && areOnce(partitions)) {
    return { guid, partitions } as Pick<PartitionTable, 'guid' | 'partitions'>;
  }
  throw new BootsealError('format', `${manifest}: partitionTable is no partition table`, {
    hint: 'take the manifest that bootseal wrote, from a copy that you made yourself',
  });
}

const areOnce = (partitions: readonly Claimed[]) =>
  new Set(partitions.map(({ number }) => number)).size === partitions.length;

function isPartition(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { number, name, type, guid, offset, bytes, attributes } = value;
  return (
    [number, offset, bytes].every(Number.isSafeInteger) &&
    [name, type, guid, attributes].every((text) => typeof text === 'string')
  );
}
