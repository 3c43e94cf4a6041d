/** @module The argument of `--secret`: which secret, and where its bytes are. */

import * as fs from 'node:fs/promises';
import { BootsealError } from '../core/errors.ts';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import { secretGuid, secretName } from '../core/secret/names.ts';
import type { OwnerSecret } from '../core/secret/table.ts';
import { type Io, readHidden, resolvePath } from './io.ts';

/** `GUID|NAME=PATH[,nul]`, taken apart. */
export interface SecretArgument extends Pick<OwnerSecret, 'guid' | 'form'> {
  readonly path: string;
}

/** Takes one `--secret` apart; everything after the first "=" is the path, which may hold ":", "=" and ",". */
export function parseSecretArgument(text: string): SecretArgument {
  const at = text.indexOf('=');
  if (at === -1) {
    // The text may be the secret itself, given by mistake: it is not repeated.
    throw new BootsealError('usage', '--secret needs the form GUID=PATH or NAME=PATH', {
      hint: 'a secret is read from a file, never from the command line',
    });
  }
  const guid = secretGuid(text.slice(0, at));
  const rest = text.slice(at + 1);
  const form = rest.endsWith(',nul') ? 'nul' : 'raw';
  const path = form === 'nul' ? rest.slice(0, -',nul'.length) : rest;
  if (path === '')
    throw new BootsealError('usage', `--secret ${guid}: the path is empty`, { hint: 'write GUID=PATH, or NAME=PATH' });
  return { guid, form, path };
}

/**
 * Reads the bytes of a secret. Throws `io`, and `usage` when `PATH,nul` is also the name of a file; what was typed as the path is
 * in no message, since it may be the secret itself.
 */
export async function readSecret(io: Io, { path, guid, form }: SecretArgument): Promise<OwnerSecret> {
  const name = secretName(guid);
  const secret = `the secret ${name === undefined ? guid : `${name} (${guid})`}`;
  if (form === 'nul' && (await exists(`${resolvePath(io, path)},nul`))) {
    throw new BootsealError('usage', `${secret}: a file has the name with ",nul" as well, so two files may be meant`, {
      hint: '",nul" behind the path adds a zero byte to the secret: rename the file that ends in it',
    });
  }
  const hint = 'NAME=PATH takes a file with the bytes of the secret, never the secret itself';
  return { guid, form, value: await readHidden(io, path, MAX_PAYLOAD, `the file of ${secret}`, hint) };
}

const exists = async (file: string): Promise<boolean> =>
  fs.lstat(file).then(
    () => true,
    () => false,
  );
