/** @module `bootseal guest bridge`: launch secrets for container software that reads them in other forms. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { parseKbsKeys, printKbsKeys, resourcePath } from '../core/guest/kbs-keys.ts';
import { parseKeyPacket, unwrapKeyPacket } from '../core/guest/key-packet.ts';
import { parseUnwrapRequest, printUnwrapAnswer } from '../core/guest/key-provider.ts';
import type { Guid } from '../core/guid.ts';
import { SECRET_NAMES, secretGuid } from '../core/secret/names.ts';
import { writeNewFile } from '../host/new-file.ts';
import { type SourceOptions, withSecret, withSource } from './guest-source.ts';
import { type Io, printableLines, printResult, readInput, resolvePath } from './io.ts';
import { checkOutputs } from './outputs.ts';
import { secretFile } from './secret-file.ts';

/** Returns the command. */
export function guestBridgeCommand(io: Io): Command {
  return new Command('bridge')
    .description('Give launch secrets to container software in the form that it reads.')
    .addCommand(offlineFsCommand(io))
    .addCommand(ocicryptCommand(io))
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  bootseal guest bridge offline-fs-kbc --out /run/aa-offline_fs_kbc-keys.json
  bootseal guest bridge ocicrypt < request.json | consumer`;

interface OfflineFsOptions extends SourceOptions {
  readonly out: string;
  readonly resource?: readonly Resource[];
  readonly keys: boolean;
  readonly force?: true;
  readonly json?: true;
}

interface Resource {
  readonly path: string;
  readonly guid: Guid;
}

const KEYS_GUID = SECRET_NAMES['offline-sev-kbc'];

function offlineFsCommand(io: Io): Command {
  return withSource(
    new Command('offline-fs-kbc')
      .summary("write the file of the Confidential Data Hub's offline_fs_kbc")
      .description(
        "Write the JSON file that the Confidential Data Hub's offline_fs_kbc reads, from the keys in the secret offline-sev-kbc and from other secrets.",
      ),
  )
    .requiredOption('--out <file>', 'new file, readable only by its owner, best in /run')
    .option(
      '--resource <path=guid|name>',
      'add this secret as the resource repository/type/tag; can be repeated',
      (text: string, before: readonly Resource[] = []) => [...before, parseResource(text)],
    )
    .option('--no-keys', 'leave out the keys in offline-sev-kbc')
    .option('--force', 'replace the file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
The hub reads /etc/aa-offline_fs_kbc-keys.json and /etc/aa-offline_fs_kbc-resources.json: link one of them to the file.

Examples:
  bootseal guest bridge offline-fs-kbc --out /run/aa-offline_fs_kbc-keys.json
  bootseal guest bridge offline-fs-kbc --no-keys --resource default/cert/tls=1ee27366-0c87-43a6-af48-28543eaf7cb0 --out /run/kbc.json`,
    )
    .action(async (options: OfflineFsOptions) => offlineFs(io, options));
}

/** Takes `PATH=GUID|NAME` apart; throws `usage`. */
function parseResource(text: string): Resource {
  const at = text.indexOf('=');
  if (at === -1) {
    throw new BootsealError('usage', '--resource needs the form repository/type/tag=GUID or =NAME', {
      hint: 'write it such as default/cert/tls=1ee27366-0c87-43a6-af48-28543eaf7cb0',
    });
  }
  try {
    return { path: resourcePath(text.slice(0, at)), guid: secretGuid(text.slice(at + 1)) };
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    throw new BootsealError('usage', `--resource: ${error.message}`, { hint: error.hint, cause: error });
  }
}

async function offlineFs(io: Io, options: OfflineFsOptions): Promise<void> {
  const out = secretFile(options.out);
  await checkOutputs(io, [out], [options.table]);
  const all = new Map<string, Uint8Array>();
  const add = (path: string, value: Uint8Array) => {
    if (all.has(path)) {
      throw new BootsealError('usage', `two secrets for ${path}`, {
        hint: 'name each resource once; --no-keys leaves out the keys in offline-sev-kbc',
      });
    }
    if (value.length === 0) {
      throw new BootsealError('format', `the secret for ${path} is empty`, {
        hint: 'the hub would take it for a key: seal one with bytes in it',
      });
    }
    all.set(path, value);
  };
  try {
    if (options.keys) {
      await withSecret(io, KEYS_GUID, options, async (value) => {
        for (const [path, key] of parseKbsKeys(value)) add(path, key);
      });
    }
    for (const { path, guid } of options.resource ?? []) {
      await withSecret(io, guid, options, async (value) => add(path, new Uint8Array(value)));
    }
    if (all.size === 0) {
      throw new BootsealError('usage', 'there is no key to write', {
        hint: 'add secrets with --resource, or take the keys of an offline-sev-kbc that has some',
      });
    }
    const resources = [...all.keys()].sort();
    const text =
      options.json === true
        ? `${JSON.stringify({ out, resources })}\n`
        : printableLines([`${out}: ${resources.join(', ')}`]);
    const announce = () => printResult(io, text);
    await writeNewFile(resolvePath(io, out), printKbsKeys(all), 0o600, options.force === true, announce);
  } finally {
    wipe(...all.values());
  }
}

/** Bytes of a request: an annotation is a few hundred. */
const MAX_REQUEST = 1 << 20;

function ocicryptCommand(io: Io): Command {
  return withSource(
    new Command('ocicrypt')
      .summary('unwrap the key of an encrypted image layer, as a key provider of ocicrypt')
      .description(
        'Answer one request of ocicrypt on standard input: unwrap the key of an image layer with the key that the secret offline-sev-kbc has for it. The answer on standard output holds the key of the layer.',
      ),
  )
    .option('--json', 'errors as JSON objects; the answer is always one')
    .addHelpText(
      'after',
      `
For OCICRYPT_KEYPROVIDER_CONFIG:
  {"key-providers":{"attestation-agent":{"cmd":{"path":"/usr/bin/bootseal","args":["guest","bridge","ocicrypt"]}}}}

Examples:
  bootseal guest bridge ocicrypt < request.json | consumer`,
    )
    .action(async (options: SourceOptions) => ocicrypt(io, options));
}

async function ocicrypt(io: Io, options: SourceOptions): Promise<void> {
  if (io.stdout.isTTY) {
    throw new BootsealError('usage', 'a key is not written to a terminal', { hint: 'ocicrypt runs this with a pipe' });
  }
  const packet = parseKeyPacket(parseUnwrapRequest(await readInput(io, '-', MAX_REQUEST)));
  await withSecret(io, KEYS_GUID, options, async (value) => {
    const keys = parseKbsKeys(value);
    try {
      const key = keys.get(packet.path);
      if (key === undefined) {
        throw new BootsealError('key', `the secret offline-sev-kbc has no key ${packet.path}`, {
          hint: 'put the key into it under that id: it is the one that the image says it was encrypted with',
        });
      }
      const unwrapped = unwrapKeyPacket(packet, key);
      io.stdout.write(printUnwrapAnswer(unwrapped));
      wipe(unwrapped);
    } finally {
      wipe(...keys.values());
    }
  });
}
