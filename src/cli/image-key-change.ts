/** @module What every command that changes the keys of an image does around the change itself. */
import type { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { Disk } from '../core/luks/disk.ts';
import { type HeaderChange, headerState, repairStages } from '../core/luks/header-change.ts';
import { type LuksHeader, readHeader } from '../core/luks/image.ts';
import { changeKeyslots, type KeyslotChange } from '../core/luks/keyslot-change.ts';
import { copiesAgree } from '../core/luks/luks2.ts';
import { manifestDuring } from '../core/luks/manifest-change.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { type HeaderFile, withHeaderFile } from '../host/image/header-file.ts';
import { nodeLuksCrypto } from '../host/node-luks.ts';
import { withSignals } from '../host/signals.ts';
import { HEADER_HELP, PARTITION_HELP, parsePartition } from './image-input.ts';
import { hashHeader, type Pinned, pinAnew, readPinned, replaceManifest } from './image-pinned.ts';
import { type Io, printableLines, remark, resolvePath } from './io.ts';

/** Options of every such command. */
export interface ChangeOptions {
  readonly header?: string;
  readonly partition?: number;
  readonly acceptHeader?: boolean;
  readonly json?: boolean;
  /** Whether copies that do not agree are mended where no manifest says that it was us. */
  readonly mend?: boolean;
}

/** A header that may be changed, once. */
export interface Changeable {
  readonly header: LuksHeader;
  /** Where the header is. */
  readonly disk: Disk;
  /** Whether a copy of the header was broken or older. */
  readonly mended: boolean;
  /** Keyslots that an interrupted change was about to remove and that are gone now. */
  readonly finished: readonly number[];
  /** Makes the change; throws as changeKeyslots. The keys must be there until it is done. */
  commit(wanted: Wanted): Promise<Changed>;
}

/** What a command wants; `before` runs when nothing can fail any more but the writing itself. */
export interface Wanted extends KeyslotChange {
  readonly before?: () => Promise<void>;
}

/** What became of the header. */
export interface Changed {
  readonly added: number | null;
  readonly removed: readonly number[];
  readonly header: { readonly bytes: number; readonly sha256: string; readonly previousSha256: string };
  /** Name of the manifest that pins the new header; null when there is none. */
  readonly manifest: string | null;
}

/** Adds the options. */
export function addChangeOptions(command: Command): Command {
  return command
    .option('--header <file>', HEADER_HELP)
    .option('--partition <number>', PARTITION_HELP, parsePartition)
    .option('--accept-header', 'take the header as it is, although the manifest pins another')
    .option('--json', 'print one JSON object');
}

/**
 * Changes the keys of an image: under a lock, on a header that the manifest pins, and so that a kill at any moment leaves a header
 * that opens and a manifest that says how far it came. A signal waits for the end.
 *
 * @throws `mismatch` when the header is not the one of the manifest, `usage` for standard input; as withHeaderFile and `use`
 */
export async function changeKeys(
  io: Io,
  image: string,
  options: ChangeOptions,
  use: (found: Changeable) => Promise<Changed>,
): Promise<Changed> {
  const { header: apart, partition } = options;
  const name = apart ?? image;
  if (name === '-') {
    throw new BootsealError('usage', 'an image is not changed on standard input', {
      hint: 'name the file of the image: it is changed in its place',
    });
  }
  if (apart !== undefined && partition !== undefined) {
    throw new BootsealError('usage', 'the header in a file of its own is in no partition: --header or --partition', {
      hint: 'leave --partition out',
    });
  }
  const wanted = apart === undefined ? { partition, detached: false } : undefined;
  return withSignals(() =>
    withHeaderFile(resolvePath(io, name), wanted, async (file) => {
      const before = await readHeader(file.disk);
      for (const { rule, message } of checkHeaderPolicy(before)) {
        if (rule !== 'copies-agree') remark(io, 'warning', message);
      }
      const pinned = await readPinned(io, image, file.disk, before);
      checkPin(pinned, options);
      const size = pinned?.bytes ?? regionSize(before, file.disk.size);
      const previousSha256 = await hashHeader(file.disk, size);
      const mended = await mendCopies(io, file, before, pinned, options);
      const finished = await finishRemoval(io, file, before, pinned);
      const header = await readHeader(file.disk);
      const commit = async (wanted: Wanted): Promise<Changed> => {
        const change = await changeKeyslots(header, wanted, { random: io.randomBytes, crypto: nodeLuksCrypto });
        const write = await file.prepare(change.stages);
        await wanted.before?.();
        await writeChange(write, change, pinned);
        const after = await readBack(file, change);
        const sha256 = await hashHeader(file.disk, size);
        await pin(pinned, after, sha256, wanted, change);
        if (pinned === undefined && apart === undefined && change.stages.length > 0) {
          remarkDetached(io, image, before, file.disk.size);
        }
        const removed = [...finished, ...change.removed];
        return {
          ...{ added: change.added ?? null, removed, header: { bytes: size, sha256, previousSha256 } },
          manifest: pinned?.name ?? null,
        };
      };
      return use({ header, disk: file.disk, mended, finished, commit });
    }),
  );
}

function checkPin(pinned: Pinned | undefined, { acceptHeader }: ChangeOptions): void {
  if (pinned?.verdict !== 'another' || acceptHeader === true) return;
  throw new BootsealError('mismatch', `the header is not the one that ${pinned.name} pins`, {
    hint: 'if you changed it with another program, look at it with image inspect and give --accept-header; else someone else did',
  });
}

/** Writes a copy of the header that is broken or older anew; throws `mismatch` when nothing tells who left it so. */
async function mendCopies(
  io: Io,
  file: HeaderFile,
  header: LuksHeader,
  pinned: Pinned | undefined,
  { mend }: ChangeOptions,
): Promise<boolean> {
  if (header.version === 1 || copiesAgree(header)) return false;
  if (pinned?.verdict !== 'interrupted' && mend !== true) {
    throw new BootsealError('mismatch', 'the two copies of the header do not agree', {
      hint: 'image repair makes them agree where one is merely older or broken',
    });
  }
  const write = await file.prepare(repairStages(header, io.randomBytes));
  write();
  remark(io, 'note', 'a change was interrupted here: the copy of the header that it left behind is mended');
  return true;
}

/** Ends the removal of an interrupted change, which may have wiped something already; returns the keyslots removed. */
async function finishRemoval(
  io: Io,
  file: HeaderFile,
  before: LuksHeader,
  pinned: Pinned | undefined,
): Promise<readonly number[]> {
  const removal = pinned?.verdict === 'interrupted' ? pinned.change?.removal : undefined;
  if (removal === undefined || headerState(before) !== removal.state) return [];
  const remove = removal.keyslots;
  const inputs = { random: io.randomBytes, crypto: nodeLuksCrypto };
  const { stages } = await changeKeyslots(await readHeader(file.disk), { remove }, inputs);
  const write = await file.prepare(stages);
  write();
  remark(io, 'note', `a change was interrupted here: its removal of keyslot ${remove.join(', ')} is finished`);
  return remove;
}

async function writeChange(write: () => void, change: HeaderChange, pinned: Pinned | undefined): Promise<void> {
  if (change.stages.length === 0) return;
  if (pinned !== undefined) await replaceManifest(pinned, manifestDuring(pinned, change));
  write();
}

/** A disk that loses what was written to it must not pass for a change that was made. */
async function readBack(file: HeaderFile, { states }: HeaderChange): Promise<LuksHeader> {
  const header = await readHeader(file.disk);
  if (headerState(header) === states.at(-1)) return header;
  throw new BootsealError('io', `${file.file}: the header that was written does not come back`, {
    hint: 'look for errors of the disk (dmesg), and restore the header from a copy that you made yourself',
  });
}

async function pin(
  pinned: Pinned | undefined,
  header: LuksHeader,
  sha256: string,
  { remove }: Wanted,
  { added }: HeaderChange,
): Promise<void> {
  if (pinned === undefined || (sha256 === pinned.sha256 && pinned.change === undefined)) return;
  // A new key is the owner's own unless it takes the place of another one.
  const [replaced] = remove;
  const purpose = replaced === undefined ? 'recovery' : (pinned.purposes.get(replaced) ?? null);
  await replaceManifest(
    pinned,
    pinAnew(pinned, header, sha256, added === undefined ? undefined : { keyslot: added, purpose }),
  );
}

/** The manifest has the name of the file with the data, which a header does not tell. */
function remarkDetached(io: Io, name: string, header: LuksHeader, fileSize: number): void {
  if (regionSize(header, fileSize) < fileSize) return;
  const how = `where a manifest pins this header, the next time name the file with the data, and --header ${name}`;
  remark(io, 'warning', `no manifest is beside ${name}, and none was changed: ${how}`);
}

/** Returns the bytes of headers and keyslots: all before the data, or all of a file that has nothing else. */
function regionSize(header: LuksHeader, fileSize: number): number {
  const offsets =
    header.version === 1
      ? [header.payloadOffset]
      : header.current.metadata.segments.map(({ offset }) => Number(offset));
  const first = Math.min(...offsets);
  return first === 0 ? fileSize : Math.min(first, fileSize);
}

/** Prints what was done. */
export function reportChange(io: Io, options: ChangeOptions, lines: readonly string[], changed: Changed): void {
  if (options.json === true) {
    io.stdout.write(`${JSON.stringify(changed)}\n`);
    return;
  }
  const { header, manifest } = changed;
  const isNew = header.sha256 !== header.previousSha256;
  const all = [
    ...lines,
    `header: sha256 ${header.sha256}${isNew ? '' : ', as before'}`,
    ...(manifest === null ? [] : [`manifest: ${manifest}`]),
  ];
  io.stdout.write(printableLines(all));
  if (isNew)
    remark(
      io,
      'note',
      'a guest that was measured with the old hash of the header refuses this disk: prepare its launch anew',
    );
}
