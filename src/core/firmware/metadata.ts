/** @module What the SEV and the TDX metadata have in common: a header that counts sections of a fixed size. */
import { firmwareRefusal } from './refusal.ts';

/** The part of a header that says how many sections follow. */
interface Header {
  /** Bytes of the header and all sections. */
  readonly length: number;
  readonly version: number;
  readonly count: number;
}

interface Unpacks<T> {
  readonly name: string;
  readonly size: number;
  unpack(bytes: Uint8Array, at: number): T;
}

/** Real firmware has at most a dozen. */
const MAX_SECTIONS = 4096;

/** Reads a header and its sections `fromEnd` bytes before the end of the image; throws `format` when they are not whole. */
export function readMetadata<T>(image: Uint8Array, fromEnd: number, header: Unpacks<Header>, section: Unpacks<T>): T[] {
  if (fromEnd < header.size || fromEnd > image.length) {
    throw firmwareRefusal(`${header.name}: its offset ${fromEnd} from the end lies outside the image`);
  }
  const at = image.length - fromEnd;
  const { length, version, count } = header.unpack(image, at);
  if (version !== 1) throw firmwareRefusal(`${header.name}: version ${version} is not known`);
  if (length > fromEnd || length !== header.size + count * section.size) {
    throw firmwareRefusal(`${header.name}: ${count} sections do not fit its length of ${length} bytes`);
  }
  if (count > MAX_SECTIONS) {
    throw firmwareRefusal(`${header.name}: ${count} sections are more than the ${MAX_SECTIONS} accepted here`);
  }
  return Array.from({ length: count }, (_, i) => section.unpack(image, at + header.size + i * section.size));
}
