/** @module Argon2 from WebAssembly, four times as fast as the pure implementation; Node 20 has none of its own. */
import { BootsealError } from '../core/errors.ts';
import { type Kdfs, nobleKdfs } from '../core/luks/kdf.ts';

/** Loaded when a keyslot wants it: most have none. */
export const wasmArgon2: Kdfs['argon2'] = async (type, secret, salt, cost, size) => {
  // It refuses to derive anything from no password, which no image of ours has, but one of another tool may.
  if (secret.length === 0) return nobleKdfs.argon2(type, secret, salt, cost, size);
  const { default: argon2 } = await import('hash-wasm/dist/argon2.umd.min.js');
  const { time: iterations, memory: memorySize, cpus: parallelism } = cost;
  try {
    const options = { password: secret, salt, iterations, memorySize, parallelism, hashLength: size } as const;
    return await argon2[type]({ ...options, outputType: 'binary' });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new BootsealError('tool', `this machine has no ${memorySize} KiB of memory left for Argon2`, {
      hint: 'end other programs, or do it on a machine with more memory',
      cause,
    });
  }
};
