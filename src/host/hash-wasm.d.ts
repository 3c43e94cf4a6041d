/** @module The part of hash-wasm that is loaded, which has no types of its own; the whole has ten times its size. */
declare module 'hash-wasm/dist/argon2.umd.min.js' {
  const argon2: Pick<typeof import('hash-wasm'), 'argon2i' | 'argon2id'>;
  export default argon2;
}
