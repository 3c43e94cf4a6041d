import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { injectSecrets } from '../../src/cli/inject-secrets.ts';
import { parseSecretArgument } from '../../src/cli/secret-argument.ts';
import { virshHost } from '../../src/host/virsh.ts';
import { fakeQemu, listen } from '../fake-qmp.ts';
import { Owner, PASSPHRASE, type QmpGuest, SECRET_AREA, serveGuest } from '../inject-host.ts';
import type { LaunchedGuest } from '../lab-guest.ts';
import { scratch } from './script.ts';

let owner: Owner;
let remove: () => void;
const open: QmpGuest[] = [];

beforeEach(async () => {
  const made = scratch();
  remove = made.remove;
  owner = await Owner.in(made.folder);
  const prepared = await owner.prepare('launch');
  expect(prepared.status, prepared.stderr).toBe(0);
});
afterEach(async () => {
  for (const guest of open.splice(0)) await guest.close();
  remove();
});

const handle = await fs.promises.open('/dev/null');
/** What all files that are open in this way do. */
const fileHandle = Object.getPrototypeOf(handle) as fs.promises.FileHandle;
await handle.close();

async function serve(launched: LaunchedGuest): Promise<QmpGuest> {
  const served = await serveGuest(owner.folder, owner.platform, launched);
  open.push(served);
  return served;
}
const inMemory = ({ memory }: LaunchedGuest) => Buffer.from(memory.get(SECRET_AREA) ?? []).includes(PASSPHRASE);
const used = () => JSON.parse(owner.read('launch/record.json')).used !== null;

describe('launch inject', () => {
  it('verifies, seals, injects, resumes, and writes down what it did', async () => {
    const launched = owner.launch('launch');
    const { qmp, seen } = await serve(launched);
    const ran = await owner.inject('launch', qmp, '--json');
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stderr).toContain('NOT encrypted');
    expect(JSON.parse(ran.stdout)).toMatchObject({
      launch: { profile: 'qemu', vcpus: 2, api: { major: 1, minor: 55, build: 255 } },
      secrets: ['736869e5-84f0-4973-92ec-06879ce3da0b'],
      again: false,
      sent: true,
      resumed: true,
    });
    expect(inMemory(launched)).toBe(true);
    expect(launched.guest.state).toBe('running');
    expect(seen).toEqual(['qmp_capabilities', 'cont']);
    expect(owner.audit('launch')).toEqual(['sealed', 'injected', 'resumed']);
    const audit = owner.read('launch/audit.jsonl');
    expect(audit).not.toContain(PASSPHRASE);
    expect(JSON.parse(audit.split('\n')[0] ?? '')).toMatchObject({
      host: `qmp:${qmp}`,
      measurement: launched.measurement,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    for (const name of ['audit.jsonl', 'packet.json']) {
      expect((fs.statSync(path.join(owner.folder, 'launch', name)).mode & 0o777).toString(8), name).toBe('600');
    }
  });

  it('can leave the guest paused, and resume it by the same command', async () => {
    const launched = owner.launch('launch');
    const { qmp } = await serve(launched);
    expect(await owner.inject('launch', qmp, '--no-resume')).toMatchObject({ status: 0 });
    expect(launched.guest.state).toBe('launch-secret');
    const again = await owner.inject('launch', qmp);
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining('sent again, the same as before') });
    expect(launched.guest.state).toBe('running');
    // And once more, when there is nothing left to do.
    const done = await owner.inject('launch', qmp);
    expect(done).toMatchObject({ status: 0, stdout: expect.stringContaining('in the guest from an earlier run') });
    expect(done.stdout).not.toContain('sent again');
    const said = JSON.parse((await owner.inject('launch', qmp, '--json')).stdout);
    expect(said).toMatchObject({ again: true, sent: false, resumed: true });
    expect(owner.audit('launch')).toEqual(['sealed', 'injected', 'injected', 'resumed']);
  });

  it.each([
    ['another kernel', { kernel: 'kernal' }],
    ['another command line', { cmdline: 'quiet init=/bin/sh' }],
    ['more vCPUs', { vcpus: 3 }],
    ['no session of the owner', { owner: undefined }],
    ['debugging, and no session', { owner: undefined, policy: 0xe }],
  ])('releases nothing to a guest with %s', async (_, over) => {
    const launched = owner.launch('launch', over);
    const { qmp, seen } = await serve(launched);
    const ran = await owner.inject('launch', qmp);
    expect(ran, ran.stderr).toMatchObject({ status: 1, stdout: '' });
    expect(launched.memory.size).toBe(0);
    expect(seen).not.toContain('cont');
    expect(used()).toBe(false);
    expect(owner.audit('launch')).toEqual(['refused']);
    // The right guest is still served.
    const right = owner.launch('launch');
    expect(await owner.inject('launch', (await serve(right)).qmp)).toMatchObject({ status: 0 });
  });

  it('serves one launch: not another of the same session, nor one of another session', async () => {
    const first = await serve(owner.launch('launch'));
    expect(await owner.inject('launch', first.qmp)).toMatchObject({ status: 0 });
    const clone = owner.launch('launch');
    const second = await serve(clone);
    const ran = await owner.inject('launch', second.qmp);
    expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining('this is another launch') });
    expect(clone.memory.size).toBe(0);
    expect(await owner.prepare('next')).toMatchObject({ status: 0 });
    const third = await serve(owner.launch('next'));
    expect(await owner.inject('launch', third.qmp)).toMatchObject({ status: 2 });
    expect(await owner.inject('next', third.qmp)).toMatchObject({ status: 0 });
  });

  it('writes its audit down for good, the name of the file too', async () => {
    const { qmp } = await serve(owner.launch('launch'));
    const synced: string[] = [];
    const sync = fileHandle.sync;
    const seeing = vi.spyOn(fileHandle, 'sync').mockImplementation(function (this: fs.promises.FileHandle) {
      synced.push(path.relative(owner.folder, fs.readlinkSync(`/proc/self/fd/${this.fd}`)));
      return Reflect.apply(sync, this, []);
    });
    const ran = await owner.inject('launch', qmp, '--no-resume').finally(() => seeing.mockRestore());
    expect(ran.status, ran.stderr).toBe(0);
    const first = synced.indexOf('launch/audit.jsonl');
    expect(synced.slice(first, first + 2)).toEqual(['launch/audit.jsonl', 'launch']);
  });

  it('refuses another guest also where it cannot write that down', async () => {
    const { qmp } = await serve(owner.launch('launch', { vcpus: 3 }));
    fs.mkdirSync(path.join(owner.folder, 'launch/audit.jsonl'));
    expect(await owner.inject('launch', qmp)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/not the expected one.*\n.*hint: .*; also, cannot write .*audit\.jsonl: is a dir/),
    });
  });

  it('needs its packet for a second try', async () => {
    const { qmp } = await serve(owner.launch('launch'));
    expect(await owner.inject('launch', qmp, '--no-resume')).toMatchObject({ status: 0 });
    fs.rmSync(path.join(owner.folder, 'launch/packet.json'));
    expect(await owner.inject('launch', qmp)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('its packet is gone'),
    });
    fs.writeFileSync(path.join(owner.folder, 'launch/packet.json'), '{"format": "bootseal-packet-1"}');
    expect(await owner.inject('launch', qmp)).toMatchObject({ status: 3 });
  });

  it('has nothing for a guest that runs already', async () => {
    const launched = owner.launch('launch');
    launched.guest.launchFinish();
    const { qmp } = await serve(launched);
    expect(await owner.inject('launch', qmp)).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('the guest runs already, without waiting for a secret'),
    });
    expect(used()).toBe(false);
  });

  it.each([
    ['query-sev', 'before', false],
    ['query-sev-launch-measure', 'before', false],
    ['query-sev-launch-measure', 'after', false],
    ['sev-inject-launch-secret', 'before', true],
    ['sev-inject-launch-secret', 'after', true],
    ['cont', 'before', true],
    ['cont', 'after', true],
  ] as const)('goes on after a connection that is lost at %s, %s it was carried out', async (command, when, isUsed) => {
    const launched = owner.launch('launch');
    const served = await serve(launched);
    served.cut = { command, when };
    const lost = await owner.inject('launch', served.qmp);
    expect(lost, lost.stderr).toMatchObject({ status: 5, stdout: '' });
    // What to do about the secret counts for more than how QEMU could be reached again.
    expect(lost.stderr.match(/hint: .*/g)).toEqual([
      isUsed
        ? 'hint: run the same command again: the same packet is sent to the same launch, and no other is made'
        : 'hint: no secret has left, and the record is as it was: run the command again',
    ]);
    expect(used()).toBe(isUsed);
    expect(inMemory(launched)).toBe(isUsed && !(command === 'sev-inject-launch-secret' && when === 'before'));
    const packet = isUsed ? owner.read('launch/packet.json') : undefined;
    served.cut = undefined;
    const again = await owner.inject('launch', served.qmp);
    expect(again, again.stderr).toMatchObject({ status: 0 });
    expect(inMemory(launched)).toBe(true);
    expect(launched.guest.state).toBe('running');
    if (packet !== undefined) expect(owner.read('launch/packet.json')).toBe(packet);
  });

  it('says of its own files what is wrong with them, host or no host', async () => {
    const launched = owner.launch('launch');
    const { qmp } = await serve(launched);
    fs.mkdirSync(path.join(owner.folder, 'launch/audit.jsonl'));
    expect(await owner.inject('launch', qmp)).toMatchObject({
      status: 5,
      stderr: expect.stringMatching(
        /audit\.jsonl: is a directory\n.*hint: a file is needed there, not a folder; no secret has left, but the record is spent: when that is mended, run the same command again/,
      ),
    });
    expect(used()).toBe(true);
    // Nor does the packet that is there now leave before that is written down.
    expect(await owner.inject('launch', qmp)).toMatchObject({ status: 5 });
    expect(inMemory(launched)).toBe(false);
    fs.rmdirSync(path.join(owner.folder, 'launch/audit.jsonl'));
    const sent = await owner.inject('launch', qmp, '--no-resume');
    expect(sent).toMatchObject({ status: 0, stdout: expect.stringMatching(/^packet +injected$/m) });
    expect(sent.stderr).toContain('the packet of the earlier run is sent: no secret is read anew');
    expect(owner.audit('launch')).toEqual(['sealed', 'injected']);
    const sealed = JSON.parse(owner.read('launch/audit.jsonl').split('\n')[0] ?? '');
    expect(sealed).toMatchObject({ digest: expect.stringMatching(/^[0-9a-f]{64}$/), secrets: [expect.any(String)] });
  });

  it.each([
    ['injected', 'the guest has its secret and is still paused; the record is spent'],
    ['resumed', 'the guest has its secret and runs: nothing else is left to do'],
  ])('says where the guest stands when the line that says %s cannot be written', async (event, hint) => {
    const { qmp } = await serve(owner.launch('launch'));
    const appendFile = fileHandle.appendFile;
    const failing = vi.spyOn(fileHandle, 'appendFile').mockImplementation(function (this: unknown, text: unknown) {
      if (`${text}`.includes(`"event":"${event}"`))
        return Promise.reject(Object.assign(new Error('x'), { code: 'ENOSPC' }));
      return Reflect.apply(appendFile, this, [text]);
    });
    const ran = await owner.inject('launch', qmp).finally(() => failing.mockRestore());
    expect(ran).toMatchObject({ status: 5, stderr: expect.stringContaining(`; ${hint}`) });
    expect(await owner.inject('launch', qmp)).toMatchObject({ status: 0 });
  });

  it.each([
    ['sev-inject-launch-secret', "SEV: failed to inject secret ret=-5 fw_error=9 'Invalid address'"],
    ['cont', 'the guest cannot be resumed'],
  ])('says of a refusal of %s that the record is spent and the same command safe', async (command, desc) => {
    const { measurement } = owner.launch('launch');
    const sev = { enabled: true, state: 'launch-secret', 'api-major': 1, 'api-minor': 55, 'build-id': 255 };
    const close = await listen(
      path.join(owner.folder, 'refusing'),
      fakeQemu((asked) => {
        if (asked === command) return { error: desc };
        return { return: asked === 'query-sev' ? sev : { data: measurement } };
      }),
    );
    const ran = await owner.inject('launch', 'refusing');
    await close();
    expect(ran).toMatchObject({ status: 6, stderr: expect.stringContaining(desc) });
    expect(ran.stderr).toMatch(/hint: .*QEMU's log.*; the record is spent: run the same command again/);
    expect(used()).toBe(true);
  });

  it('does not ask for --force where a packet stands in the way: the record is spent', async () => {
    const { qmp } = await serve(owner.launch('launch'));
    fs.writeFileSync(path.join(owner.folder, 'launch/packet.json'), '');
    const ran = await owner.inject('launch', qmp);
    expect(ran).toMatchObject({ status: 5, stderr: expect.stringContaining('hint: no secret has left, but') });
    expect(ran.stderr).toContain('prepare a new launch');
    expect(used()).toBe(true);
  });

  it('does not take a guest for served that a host let run in between', async () => {
    const launched = owner.launch('launch');
    const served = await serve(launched);
    served.cut = { command: 'sev-inject-launch-secret', when: 'before' };
    expect(await owner.inject('launch', served.qmp)).toMatchObject({ status: 5 });
    served.cut = undefined;
    launched.guest.launchFinish();
    expect(await owner.inject('launch', served.qmp)).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('nobody knows whether with the secret'),
    });
  });

  it("tells the platform's refusal of a packet from others", async () => {
    const { qmp } = await serve(owner.launch('launch'));
    expect(await owner.inject('launch', qmp, '--no-resume')).toMatchObject({ status: 0 });
    const packet = JSON.parse(owner.read('launch/packet.json'));
    const save = (over: object) =>
      fs.writeFileSync(path.join(owner.folder, 'launch/packet.json'), JSON.stringify({ ...packet, ...over }));
    save({ secret: Buffer.alloc(64).toString('base64') });
    expect(await owner.inject('launch', qmp)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /fw_error=11.*\n.*hint: .*; the record is spent, and its one packet is for the guest/,
      ),
    });
    save({ gpa: 0x810008 });
    expect(await owner.inject('launch', qmp)).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('fw_error=9'),
    });
  });

  it('refuses nonsense before anybody is asked', async () => {
    const pass = ['--secret', 'disk-passphrase=pass.secret'];
    expect(await owner.run('launch', 'inject', '--record', 'launch/record.json', ...pass)).toMatchObject({ status: 2 });
    expect(await owner.inject('launch', 'nowhere')).toMatchObject({ status: 5 });
    expect(await owner.inject('launch', 'nowhere', '--virsh', 'guest')).toMatchObject({ status: 2 });
    expect(await owner.inject('launch', 'nowhere', '--tk', '-')).toMatchObject({ status: 2 });
    expect(used()).toBe(false);
  });

  it('keeps the record for a secret that does not exist or does not fit', async () => {
    const { qmp } = await serve(owner.launch('launch'));
    expect(await owner.inject('launch', qmp, '--secret', 'disk-passphrase=none')).toMatchObject({ status: 5 });
    fs.writeFileSync(path.join(owner.folder, 'large'), 'x'.repeat(4000));
    expect(await owner.inject('launch', qmp, '--secret', 'disk-passphrase=large')).toMatchObject({ status: 2 });
    expect(used()).toBe(false);
    expect(await owner.inject('launch', qmp)).toMatchObject({ status: 0 });
  });
});

describe('launch inject --virsh', () => {
  const SCRIPT = `#!/bin/sh
# Stands in for virsh: answers from files, and says what it was told.
here=$(dirname "$0")
echo "$*" >> "$here/said"
if [ -e "$here/lost" ]; then cat "$here/lost" >&2; exit 1; fi
case "$*" in
  *domstate*) cat "$here/state" ;;
  *domlaunchsecinfo*) cat "$here/info" ;;
  *domsetlaunchsecstate*)
    while [ "$1" != --secrethdr ]; do shift; done
    cp "$2" "$here/header"; cp "$4" "$here/secret"
    if [ -e "$here/refuse" ]; then cat "$here/refuse" >&2; exit 1; fi ;;
esac
`;
  let bin: string;
  const write = (name: string, text: string, mode = 0o644) => fs.writeFileSync(path.join(bin, name), text, { mode });

  beforeEach(() => {
    bin = path.join(owner.folder, 'bin');
    fs.mkdirSync(bin);
    write('virsh', SCRIPT, 0o755);
  });

  /** As the command does, with the script in place of virsh. */
  async function inject(connect?: string): Promise<string> {
    const silent = { isTTY: false, write() {} };
    const io = {
      stdin: (async function* () {})(),
      ...{ stdout: silent, stderr: silent, cwd: owner.folder },
      now: () => new Date(),
      randomBytes: (size: number) => new Uint8Array(crypto.randomBytes(size)),
    };
    const host = async () => virshHost({ domain: 'web', connect, program: path.join(bin, 'virsh') });
    const options = {
      record: 'launch/record.json',
      secret: [parseSecretArgument('disk-passphrase=pass.secret')],
      resume: true,
    };
    return injectSecrets(io, host, options).then(
      () => 'done',
      (error) => `${error.kind}: ${error.message}; hint: ${error.hint}`,
    );
  }
  const ready = (measurement: string) => {
    write('state', 'paused\n\n');
    write(
      'info',
      `sev-measurement: ${measurement}\nsev-api-major  : 1\nsev-api-minor  : 55\nsev-build-id   : 255\nsev-policy     : 15\n`,
    );
  };

  it('does the same through libvirt', async () => {
    const launched = owner.launch('launch');
    ready(launched.measurement);
    expect(await inject('qemu+ssh://host/system')).toBe('done');
    const read = (name: string) => Buffer.from(fs.readFileSync(path.join(bin, name), 'latin1'), 'base64');
    launched.guest.launchSecret(read('header'), read('secret'), SECRET_AREA);
    expect(inMemory(launched)).toBe(true);
    const said = fs.readFileSync(path.join(bin, 'said'), 'utf8').trim().split('\n');
    expect(said[0]).toBe('--connect qemu+ssh://host/system --quiet domstate --domain web');
    expect(said.at(-2)).toMatch(
      /domsetlaunchsecstate --domain web --secrethdr \S+ --secret \S+ --set-address 0x810000$/,
    );
    expect(said.at(-1)).toMatch(/resume --domain web$/);
    expect(fs.existsSync(/--secrethdr (\S+)/.exec(said.at(-2) ?? '')?.[1] ?? '')).toBe(false);
  });

  it('says where the packet could not be put', async () => {
    ready(owner.launch('launch').measurement);
    vi.stubEnv('TMPDIR', path.join(owner.folder, 'nowhere'));
    expect(await inject().finally(() => vi.unstubAllEnvs())).toMatch(
      /^io: cannot write .*nowhere: no such file.*; hint: .*set TMPDIR .*; no secret has left, and the record is as it was/,
    );
    expect(used()).toBe(false);
    expect(await inject()).toBe('done');
  });

  it.each([
    'error: Disconnected from qemu+ssh://host/system due to end of file',
    'error: Disconnected from qemu+ssh://host/system due to keepalive timeout',
    'error: failed to connect to the hypervisor\nerror: Cannot recv data: ssh: connect to host host port 22',
    'error: End of file while reading data: Input/output error',
    'error: internal error: client socket is closed',
  ])('knows a host that is lost: %s', async (words) => {
    const launched = owner.launch('launch');
    ready(launched.measurement);
    write('lost', words);
    expect(await inject()).toMatch(/^io: virsh has lost its host: error: .*; hint: no secret has left, and the record/);
    expect(used()).toBe(false);
    fs.rmSync(path.join(bin, 'lost'));
    write('refuse', words);
    expect(await inject()).toMatch(/^io: .*; hint: run the same command again: the same packet is sent/);
    expect(used()).toBe(true);
    fs.rmSync(path.join(bin, 'refuse'));
    expect(await inject()).toBe('done');
  });

  it('finds what counts in all that virsh and its ssh say', async () => {
    const much = (line: string) => `${'banner\n'.repeat(500)}${line}\n${'more of ssh\n'.repeat(500)}`;
    ready(owner.launch('launch').measurement);
    write('lost', much('error: failed to connect to the hypervisor'));
    expect(await inject()).toMatch(
      /^io: virsh has lost its host: error: failed to connect to the hypervisor; hint: no/,
    );
    expect(used()).toBe(false);
    fs.rmSync(path.join(bin, 'lost'));
    write('refuse', much("error: SEV: failed to inject secret ret=-5 fw_error=11 'Bad measurement'"));
    expect(await inject()).toMatch(
      /^mismatch: the platform refuses the packet: error: SEV: .*'; hint: .*record is spent/,
    );
  });

  it('says of other failures, once the record is spent, that the same command is safe', async () => {
    ready(owner.launch('launch').measurement);
    write('refuse', 'error: something else\n');
    expect(await inject()).toMatch(
      /^tool: .*something else; hint: .*\(man .*; the record is spent: run the same command again/,
    );
  });

  it('says what libvirt says', async () => {
    const { measurement } = owner.launch('launch');
    ready(measurement);
    write('state', 'shut off\n');
    expect(await inject()).toMatch(/^tool: .*state shut off/);
    ready('AAAA');
    expect(await inject()).toMatch(/^format: /);
    ready(measurement);
    write('info', '');
    expect(await inject()).toMatch(/^tool: .*no sev-measurement/);
    expect(used()).toBe(false);
    ready(measurement);
    write('refuse', "error: SEV: failed to inject secret ret=-5 fw_error=11 'Bad measurement'\n");
    expect(await inject()).toMatch(/^mismatch: /);
    write('refuse', 'error: something else\n');
    expect(await inject()).toMatch(/^tool: .*something else/);
    fs.rmSync(path.join(bin, 'virsh'));
    expect(await inject()).toMatch(/^tool: .*is not installed/);
  });
});
