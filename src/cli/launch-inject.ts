/** @module `bootseal launch inject`: ask the host for the measurement, verify it, seal, inject, resume. */
import * as path from 'node:path';
import { Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { LaunchHost } from '../host/launch-host.ts';
import { type Injected, injectSecrets } from './inject-secrets.ts';
import { type Io, printableLines, resolvePath } from './io.ts';
import { parseSecretArgument, type SecretArgument } from './secret-argument.ts';
import { printLaunch } from './verified-launch.ts';

interface Options {
  readonly record: string;
  readonly qmp?: string;
  readonly virsh?: string;
  readonly connect?: string;
  readonly secret: readonly SecretArgument[];
  readonly tk?: string;
  readonly pad?: boolean;
  readonly resume: boolean;
  readonly insecureAllowDebug?: boolean;
  readonly json?: boolean;
}

/** Returns the command. */
export function launchInjectCommand(io: Io): Command {
  return new Command('inject')
    .summary('verify a paused guest, seal secrets to it, inject them and let it run')
    .description(
      'Verify the launch of a paused guest against its record, seal the secrets to it, inject them and let it run.',
    )
    .requiredOption('--record <file>', 'record.json of the launch; it is marked used')
    .addOption(new Option('--qmp <socket>', "QEMU's QMP socket").conflicts(['virsh', 'connect']))
    .option('--virsh <domain>', 'name of a libvirt domain, reached through virsh')
    .option('--connect <uri>', 'libvirt connection for --virsh')
    .requiredOption(
      '--secret <guid|name=path[,nul]>',
      'a secret and the file (or -) with its exact bytes; ",nul" adds a zero byte',
      (text: string, before: readonly SecretArgument[] = []) => [...before, parseSecretArgument(text)],
    )
    .option('--tk <file>', 'transport keys of the session (default: tk beside the record)')
    .option('--pad', "fill the firmware's secret area, so that the packet does not tell how long the secrets are")
    .option('--no-resume', 'leave the guest paused')
    .option('--insecure-allow-debug', 'seal secrets although the policy lets the host read the guest')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (options: Options) => inject(io, options));
}

const HELP = `
No secret leaves before the measurement is verified. After a lost connection run the same command again: the one packet of
the launch, which lies in packet.json beside the record, is sent again to the same launch; another one is never made.
audit.jsonl beside the record says what was done.

Examples:
  bootseal launch inject --record launch/record.json --qmp launch/qmp.sock --secret disk-passphrase=passphrase
  bootseal launch inject --record launch/record.json --virsh guest --secret disk-passphrase=passphrase`;

async function inject(io: Io, options: Options): Promise<void> {
  const connect = await host(io, options);
  const injected = await injectSecrets(io, connect, options);
  if (options.json === true) {
    const { launch, secrets, again, sent, resumed } = injected;
    io.stdout.write(`${JSON.stringify({ launch, secrets, again, sent, resumed })}\n`);
    return;
  }
  io.stdout.write(printableLines(lines(injected, options)));
}

async function host(io: Io, { qmp, virsh, connect }: Options): Promise<() => Promise<LaunchHost>> {
  if (qmp !== undefined) {
    const { qmpHost } = await import('../host/qmp/launch-host.ts');
    return () => qmpHost(resolvePath(io, qmp));
  }
  if (virsh === undefined) {
    throw new BootsealError('usage', 'say where the guest is: --qmp SOCKET or --virsh DOMAIN', {
      hint: 'qemu.args of launch prepare makes the socket qmp.sock; domain.xml has the name of the domain',
    });
  }
  const { virshHost } = await import('../host/virsh.ts');
  return async () => virshHost({ domain: virsh, connect });
}

function lines({ verified, secrets, again, sent, resumed }: Injected, { record }: Options): string[] {
  return [
    ...printLaunch(verified),
    ...secrets.map((guid) => `secret         ${guid}`),
    `packet         ${!sent ? 'in the guest from an earlier run' : again ? 'sent again, the same as before' : 'injected'}`,
    `guest          ${resumed ? 'runs' : 'is still paused'}`,
    `audit          ${path.join(path.dirname(record), 'audit.jsonl')}`,
  ];
}
