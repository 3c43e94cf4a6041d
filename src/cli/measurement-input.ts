/** @module Reading `--measurement`: the base64 text itself, a file with the text or the 48 bytes, or `-`. */
import { bytesToBase64 } from '../core/base64.ts';
import { BootsealError } from '../core/errors.ts';
import {
  type LaunchMeasurement,
  LaunchMeasurementBlob,
  parseLaunchMeasurement,
  parseLaunchMeasurementText,
} from '../core/measurement/launch-measurement.ts';
import { type Io, readInput } from './io.ts';

/** Description of the option, the same in every command. */
export const MEASUREMENT_HELP = 'what the platform measured: base64 text, a file with the text or the 48 bytes, or -';

/** Large enough for anything that is given by mistake and can be named in the error; bytes. */
const LIMIT = 1 << 16;

/** Reads the measurement; throws `usage` when the text is neither a measurement nor a file, `format` when it is another thing, `io`. */
export async function readMeasurement(io: Io, text: string): Promise<LaunchMeasurement> {
  if (text.trim() === '') return parseLaunchMeasurementText(text);
  const literal = text === '-' ? undefined : tryText(text);
  if (literal instanceof Uint8Array) return parseLaunchMeasurement(literal);
  let content: Uint8Array;
  try {
    content = await readInput(io, text, LIMIT);
  } catch (error) {
    throw literal !== undefined && isAbsent(error) ? noSuch(text, literal) : error;
  }
  if (!isText(content)) return parseLaunchMeasurement(content);
  return parseLaunchMeasurementText(Buffer.from(content).toString('latin1'));
}

/** Text of any length: that 48 measured bytes are all printable happens once in 10^19 launches. */
function isText(content: Uint8Array): boolean {
  return content.every((byte) => (byte >= 0x20 && byte <= 0x7e) || (byte >= 0x09 && byte <= 0x0d));
}

/** Returns the measurement as the text it is usually passed around in. */
export function printMeasurement(measurement: LaunchMeasurement): string {
  return bytesToBase64(LaunchMeasurementBlob.pack(measurement));
}

function tryText(text: string): Uint8Array | BootsealError {
  try {
    return LaunchMeasurementBlob.pack(parseLaunchMeasurementText(text));
  } catch (error) {
    if (error instanceof BootsealError) return error;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  const cause = error instanceof BootsealError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(cause?.code ?? '');
}

/** No file: text that decodes to something is a wrong measurement, any other text may as well be a mistyped file name. */
function noSuch(text: string, asText: BootsealError): BootsealError {
  if (!asText.message.includes('not base64')) return asText;
  return new BootsealError(
    'usage',
    `--measurement ${JSON.stringify(text.slice(0, 64))} is neither base64 nor a file that exists`,
    { hint: asText.hint },
  );
}
