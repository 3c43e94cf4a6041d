/** @module A kernel that an owner believes in, hashed as it is and, in the same reading, with each other setup header that it may have had. */
import { createHash, type Hash } from 'node:crypto';
import type { BelievedKernel } from '../core/identify/boots.ts';
import { type HeaderChange, headerChanges, SETUP_HEADER_BYTES } from '../core/identify/kernel-header.ts';
import { emptyKernel, MOST_BYTES } from './booted-files.ts';
import { type Io, streamInput } from './io.ts';

/** An initrd by name, and its bytes. */
export interface SizedInitrd {
  readonly name: string;
  readonly bytes: number;
}

interface Form {
  readonly change: HeaderChange;
  readonly initrd: string | undefined;
  readonly hash: Hash;
}

/** Hashes the kernel. Throws `io`, and `usage` for one that is empty. */
export async function believedKernel(io: Io, name: string, initrds: readonly SizedInitrd[]): Promise<BelievedKernel> {
  const own = createHash('sha256');
  let head = Buffer.alloc(0);
  let forms: readonly Form[] | undefined;
  const take = (piece: Uint8Array) => {
    own.update(piece);
    if (forms !== undefined) {
      for (const { hash } of forms) hash.update(piece);
      return;
    }
    head = Buffer.concat([head, piece]);
    if (head.length >= SETUP_HEADER_BYTES) forms = startForms(head, initrds);
  };
  const bytes = await streamInput(io, name, take, MOST_BYTES);
  if (bytes === 0) throw emptyKernel();
  const changed = (forms ?? []).map(({ change, initrd, hash }) => ({ change, initrd, sha256: hash.digest() }));
  return { name, sha256: own.digest(), changed };
}

/** Without an initrd first: some VMMs hide it from what is measured. */
function startForms(head: Buffer, initrds: readonly SizedInitrd[]): readonly Form[] {
  const none = headerChanges(head).map((change) => ({ change, initrd: undefined }));
  const some = initrds.flatMap(({ name, bytes }) =>
    headerChanges(head, bytes).map((change) => ({ change, initrd: name })),
  );
  return [...none, ...some].map((form) => {
    const { at, bytes } = form.change;
    const changed = Buffer.concat([head.subarray(0, at), bytes, head.subarray(at + bytes.length)]);
    return { ...form, hash: createHash('sha256').update(changed) };
  });
}
