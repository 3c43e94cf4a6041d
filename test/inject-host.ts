/**
 * @module A host to inject secrets into, without QEMU: the lab's PSP behind the lab's QMP front, and a made-up QEMU behind that. Tests can
 * have its connection break at any command.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { openFront } from '../src/lab/front.ts';
import { createLabPlatform, type LabPlatform, readLabPlatform } from '../src/lab/psp/platform.ts';
import { type SevMachine, sevCommands } from '../src/lab/sev-commands.ts';
import { bootseal, type Ran, scratch } from './cli/script.ts';
import { fakeQemu, listen } from './fake-qmp.ts';
import { firmwareImage } from './firmware-image.ts';
import { type HostGuest, type LaunchedGuest, launchGuest } from './lab-guest.ts';

const POLICY = 0xf;
export const SECRET_AREA = 0x810000;
export const PASSPHRASE = 'correct horse battery staple';

const YAML = `platform: sev-es
policy: nodbg,noks,nosend,es
firmware: fw
kernel: kernel
cmdline: quiet
vcpus: 2
cpu: EPYC-v4
secrets:
  disk-passphrase: pass.secret
`;

let lab: Promise<string> | undefined;

/** Returns the folder of a platform that is made once, since RSA keys are slow, and is removed with the process. */
function madeLab(): Promise<string> {
  lab ??= (async () => {
    const { folder, remove } = scratch();
    process.on('exit', remove);
    await createLabPlatform(path.join(folder, 'lab'));
    return path.join(folder, 'lab');
  })();
  return lab;
}

/** An owner's folder with a platform of a lab in it. */
export class Owner {
  readonly folder: string;
  readonly platform: LabPlatform;

  private constructor(folder: string, platform: LabPlatform) {
    this.folder = folder;
    this.platform = platform;
  }

  static async in(folder: string): Promise<Owner> {
    for (const [name, bytes] of Object.entries({
      fw: firmwareImage(),
      kernel: 'kernel',
      'pass.secret': PASSPHRASE,
      'launch.yaml': YAML,
    })) {
      fs.writeFileSync(path.join(folder, name), bytes);
    }
    fs.cpSync(await madeLab(), path.join(folder, 'lab'), { recursive: true });
    return new Owner(folder, await readLabPlatform(path.join(folder, 'lab')));
  }

  run(...args: readonly string[]): Promise<Ran> {
    return bootseal(args, this.folder);
  }

  prepare(out: string): Promise<Ran> {
    return this.run('launch', 'prepare', 'launch.yaml', '--lab', 'lab', '--out', out);
  }

  inject(launch: string, qmp: string, ...more: readonly string[]): Promise<Ran> {
    const secret = more.includes('--secret') ? [] : ['--secret', 'disk-passphrase=pass.secret'];
    return this.run('launch', 'inject', '--record', `${launch}/record.json`, '--qmp', qmp, ...secret, ...more);
  }

  read(name: string): string {
    return fs.readFileSync(path.join(this.folder, name), 'utf8');
  }

  /** The events of the audit, in their order. */
  audit(launch: string): string[] {
    const lines = this.read(`${launch}/audit.jsonl`).trim().split('\n');
    return lines.map((line) => JSON.parse(line).event);
  }

  /** Starts the guest of a prepared launch, as the host was told or otherwise. */
  launch(launch: string, over: Partial<HostGuest> = {}): LaunchedGuest {
    return launchGuest(this.platform, {
      policy: POLICY,
      owner: { godh: this.read(`${launch}/godh`), session: this.read(`${launch}/session`) },
      firmware: firmwareImage(),
      kernel: 'kernel',
      cmdline: this.read(`${launch}/cmdline`),
      vcpus: 2,
      ...over,
    });
  }
}

/** A QMP socket for one guest. */
export interface QmpGuest {
  readonly qmp: string;
  /** Commands that reached the made-up QEMU. */
  readonly seen: readonly string[];
  /** Cuts the connection when this command comes: before it is carried out, or after it and before its answer. */
  cut: { readonly command: string; readonly when: 'before' | 'after' } | undefined;
  close(): Promise<void>;
}

let count = 0;

export async function serveGuest(
  folder: string,
  platform: LabPlatform,
  { guest }: Pick<LaunchedGuest, 'guest'>,
  over: Partial<SevMachine> = {},
): Promise<QmpGuest> {
  count++;
  const at = (name: string) => path.join(folder, `${name}${count}`);
  const seen: string[] = [];
  const closeQemu = await listen(
    at('upstream'),
    fakeQemu((command) => ({ return: { real: command } }), seen),
  );
  const machine = { platform, guest, secretArea: SECRET_AREA, ram: 2 ** 30, saysType: false, ...over };
  const front = await openFront({
    path: at('front'),
    upstream: at('upstream'),
    commands: sevCommands(machine),
    beforeCont: () => guest.state === 'launch-secret' && guest.launchFinish(),
  });
  const served: QmpGuest = { qmp: at('qmp'), seen, cut: undefined, close };
  // The connection runs through a wire that can be cut.
  const closeWire = await listen(at('qmp'), (client) => {
    const up = net.createConnection({ path: at('front') });
    up.on('error', () => undefined);
    let cutAfter = false;
    client.on('data', (bytes) => {
      const isIt = served.cut !== undefined && bytes.toString().includes(`"${served.cut.command}"`);
      if (isIt && served.cut?.when === 'before') return void client.destroy();
      cutAfter ||= isIt;
      up.write(bytes);
      return undefined;
    });
    up.on('data', (bytes) => (cutAfter ? client.destroy() : client.write(bytes)));
    up.on('close', () => client.destroy());
    client.on('close', () => up.destroy());
  });
  async function close(): Promise<void> {
    await closeWire();
    await front.close();
    await closeQemu();
  }
  return served;
}
