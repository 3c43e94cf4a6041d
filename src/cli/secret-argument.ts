/** @module The argument of `--secret`: which secret, and where its bytes are. */
import { BootsealError } from '../core/errors.ts';
import { secretGuid } from '../core/secret/names.ts';
import type { OwnerSecret } from '../core/secret/table.ts';

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
  if (path === '') throw new BootsealError('usage', `--secret ${guid}: the path is empty`);
  return { guid, form, path };
}
