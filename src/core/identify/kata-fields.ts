/**
 * @module The owner's words in a command line of Kata Containers. Both of its runtimes cut them apart at blanks outside quotation marks
 * and put one blank between them (kata-containers/kata-containers src/runtime/virtcontainers/hypervisor.go, KernelParamFields;
 * src/runtime-rs/crates/hypervisor/src/kernel_param.rs, split_kernel_params).
 */
import { concat } from '../bytes.ts';
import { encodeUtf8 } from '../utf8.ts';

const SPACE = 0x20;
const QUOTE = 0x22;
const NEWLINE = 0x0a;

/** The owner's words, which may be no text. */
export interface KataFields {
  /** Those of kernel_params. */
  readonly params: readonly Uint8Array[];
  /** Those of guest_extension_images, which stand behind them: kata.extension.NAME.verity_params. */
  readonly extensions: readonly Uint8Array[];
}

/** A command line that Kata may have made of the owner's. */
export interface KataLine {
  readonly bytes: Uint8Array;
  /** The only number of vCPUs that it goes with; undefined for any. */
  readonly vcpus: number | undefined;
  /** Whether it has the agent open a shell to the host. */
  readonly debugConsole: boolean;
}

const EXTENSION = encodeUtf8('kata.extension.');

/** Returns the words of a line. */
export function kataFields(line: Uint8Array): KataFields {
  const all = split(line);
  const isExtension = (field: Uint8Array) => EXTENSION.every((byte, i) => field[i] === byte);
  return { params: all.filter((field) => !isExtension(field)), extensions: all.filter(isExtension) };
}

function split(line: Uint8Array): readonly Uint8Array[] {
  const fields: Uint8Array[] = [];
  let [start, quoted] = [0, false];
  for (const [at, byte] of line.entries()) {
    if (byte === QUOTE) quoted = !quoted;
    if (byte !== SPACE || quoted) continue;
    fields.push(line.subarray(start, at));
    start = at + 1;
  }
  return [...fields, line.subarray(start)].filter((field) => field.length > 0);
}

/** Returns a line of all these words; what is only the end of a line has no blank before it. */
export function joinFields(words: readonly (Uint8Array | string)[]): Uint8Array {
  const fields = words
    .map((word) => (typeof word === 'string' ? encodeUtf8(word) : word))
    .filter(({ length }) => length > 0);
  const blank = Uint8Array.of(SPACE);
  return concat(...fields.flatMap((field, i) => (i === 0 || isNewline(field) ? [field] : [blank, field])));
}

const isNewline = (field: Uint8Array) => field.every((byte) => byte === NEWLINE);

/** Tells whether the words end with a newline, behind which nothing can stand. */
export function endsLine({ params, extensions }: KataFields): boolean {
  return [...params, ...extensions].some((field) => field.at(-1) === NEWLINE);
}
