/**
 * @module The answer to a request for a key (request-key(8)). Any process of any user makes the kernel start this as root, with
 * description and callout of its choice: both are taken for what they are, and the user is checked first.
 */
import { BootsealError } from '../core/errors.ts';
import type { Guid } from '../core/guid.ts';
import { secretGuid } from '../core/secret/names.ts';
import type { Guest } from './guest.ts';
import { instantiateKey, type KeyLimits, rejectKey } from './keyring.ts';

/** Where a key comes from. */
export type Backend = { readonly type: 'efi'; readonly guid: Guid } | { readonly type: 'file'; readonly path: string };

/** A request, as the kernel makes it. */
export interface KeyRequest {
  /** Number of the key under construction. */
  readonly key: string;
  /** Who asks. */
  readonly uid: number;
  /** What the requestor says besides the description; may be empty. */
  readonly callout: string;
}

/** What the rule says, which root has written. */
export interface RequestRule extends KeyLimits {
  /** Users that may ask. */
  readonly uids: readonly number[];
  /** The only source; where it is not given, the callout names one. */
  readonly from: Backend | undefined;
}

/** Seconds for which the kernel refuses a key that was refused here, without asking again. */
const REFUSED_FOR = 30;

/** Reads `efi:GUID|NAME` or `file:/PATH`; throws `usage` without repeating it. */
export function parseBackend(text: string): Backend {
  if (text.startsWith('efi:')) return { type: 'efi', guid: secretGuid(text.slice('efi:'.length)) };
  const path = text.startsWith('file:') ? text.slice('file:'.length) : '';
  if (path.startsWith('/') && !path.includes('\0')) return { type: 'file', path };
  throw new BootsealError('usage', 'a key comes from efi:GUID, efi:NAME or file:/PATH', {
    hint: 'name the source that way, such as efi:disk-passphrase',
  });
}

/**
 * Makes the key, or refuses it so that who asks is told at once.
 *
 * @param read returns the bytes of a source, which are wiped here
 * @throws `usage` when the user may not ask for this, what `read` throws, `tool`
 */
export async function answerRequest(
  guest: Guest,
  request: KeyRequest,
  rule: RequestRule,
  read: (backend: Backend) => Promise<Uint8Array>,
): Promise<Backend> {
  if (!/^[1-9][0-9]{0,9}$/.test(request.key)) {
    throw new BootsealError('usage', 'the key has no number', {
      hint: 'request-key(8) puts it where the rule says %k',
    });
  }
  try {
    const backend = sourceFor(request, rule);
    const value = await read(backend);
    try {
      await instantiateKey(guest, request.key, value, rule);
    } finally {
      value.fill(0);
    }
    return backend;
  } catch (error) {
    await rejectKey(guest, request.key, REFUSED_FOR).catch(() => undefined);
    throw error;
  }
}

function sourceFor({ uid, callout }: KeyRequest, { uids, from }: RequestRule): Backend {
  if (!uids.includes(uid))
    throw new BootsealError('usage', `user ${uid} may not ask for this key`, {
      hint: 'who may is said in the rule of request-key, with --allow-uid',
    });
  if (from !== undefined) return from;
  const named = parseBackend(callout);
  // This runs as root: a user who is let in for a secret must not read all files through it.
  if (named.type === 'file' && uid !== 0) {
    throw new BootsealError('usage', `user ${uid} may not name a file`, {
      hint: 'name the file in the rule, with --from',
    });
  }
  return named;
}
