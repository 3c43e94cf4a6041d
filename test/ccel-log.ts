/** @module Event logs of TDX guests, put together byte by byte. */
import { join, u16, u32 } from './firmware-image.ts';

type Numbered<T> = readonly (readonly [algorithm: number, T])[];

/** The first event of a log: which algorithms it has, and how many bytes their digests. */
export function ccelHeader(algorithms: Numbered<number>, type = 3, signature = 'Spec ID Event03'): Uint8Array {
  const body = join(
    Uint8Array.from(Buffer.from(`${signature}\0`, 'latin1')),
    new Uint8Array(8),
    u32(algorithms.length),
    ...algorithms.map(([id, size]) => join(u16(id), u16(size))),
    new Uint8Array(1),
  );
  return join(u32(1), u32(type), new Uint8Array(20), u32(body.length), body);
}

/** One event. */
export function ccelEvent(
  register: number,
  type: number,
  digests: Numbered<Uint8Array>,
  data = new Uint8Array(),
): Uint8Array {
  const values = digests.map(([id, digest]) => join(u16(id), digest));
  return join(u32(register), u32(type), u32(digests.length), ...values, u32(data.length), data);
}
