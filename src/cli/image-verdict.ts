/** @module What `bootseal image verify` found of an encrypted image, for people. */
import { printableLines } from './io.ts';

/** What was found; a problem is one sentence without a full stop. */
export interface Verdict extends Contents {
  readonly problems: readonly string[];
}

/** What the key opened; all null when it opened nothing. */
export interface Contents {
  readonly keyslot: number | null;
  readonly dataBytes: number | null;
  readonly sectorSize: number | null;
  /** Null for data without tags. */
  readonly integrity: TagsVerdict | null;
  /** What the decrypted data start as; null when that is nothing known. */
  readonly filesystem: string | null;
  /** Whether superblock and what follows it were looked at. */
  readonly filesystemChecked: boolean;
  /** What is no reason to mistrust the image, and good to know. */
  readonly remarks: readonly string[];
}

/** What was found of the tags. */
export interface TagsVerdict {
  readonly type: string;
  /** Sectors that are in the journal and not yet in their places. */
  readonly inJournal: number;
  /** Sectors that do not match their tags. */
  readonly wrongSectors: number;
}

/** Of an image that was not opened. */
export const NOT_OPENED: Contents = {
  ...{ keyslot: null, dataBytes: null, sectorSize: null },
  ...{ integrity: null, filesystem: null, filesystemChecked: false, remarks: [] },
};

/** Returns the verdict as lines of text. */
export function verdictText(verdict: Verdict): string {
  const { problems, remarks } = verdict;
  const lines = [
    ...contentsText(verdict),
    ...remarks.map((remark) => `remark: ${remark}`),
    ...(problems.length === 0 ? [`verdict: ${rightText(verdict)}`] : problems.map((problem) => `problem: ${problem}`)),
  ];
  return printableLines(lines);
}

/** Says no more than was seen. */
function rightText({ integrity, filesystem, filesystemChecked }: Verdict): string {
  if (integrity !== null) return 'header, key and data are right';
  const seen = 'header and key are right';
  if (filesystem === null) return `${seen}; of the data nothing is known but their size`;
  return filesystemChecked
    ? `${seen}, and the ${filesystem} begins as it must`
    : `${seen}; the data start as ${filesystem}`;
}

function contentsText({ keyslot, dataBytes, sectorSize, integrity, filesystem }: Contents): readonly string[] {
  if (keyslot === null) return ['key and data: not opened'];
  return [
    `key: opens keyslot ${keyslot}`,
    `data: ${dataBytes} bytes in sectors of ${sectorSize}, all decrypted${integrity === null ? WITHOUT_TAGS : ''}`,
    ...(integrity === null ? [] : [tagsText(integrity)]),
    `content: ${filesystem ?? 'no file system that is known here'}`,
  ];
}

const WITHOUT_TAGS = '; without integrity a change of them would not show';

function tagsText({ type, inJournal, wrongSectors }: TagsVerdict): string {
  const journal =
    inJournal === 0 ? 'empty' : `holds ${inJournal} sectors that the kernel writes to their places next time`;
  return `tags: ${type}, ${wrongSectors === 0 ? 'all match' : `${wrongSectors} do not match`}; journal: ${journal}`;
}
