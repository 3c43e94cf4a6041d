import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { base64ToBytes } from '../../src/core/base64.ts';
import { bytesToHex } from '../../src/core/hex.ts';
import { parseRecord } from '../../src/core/session/record.ts';
import { openSession } from '../../src/core/session/session.ts';
import { parseTk } from '../../src/core/session/transport-keys.ts';
import { nodePublicKey } from '../../src/host/public-key.ts';
import { firmwareImage } from '../firmware-image.ts';
import { type ChainBytes, forgedPlatform, realChain, resign } from '../platform.ts';
import { bootseal, scratch } from './script.ts';

let folder: string;
let remove: () => void;

beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(path.join(folder, 'fw'), firmwareImage());
  fs.writeFileSync(path.join(folder, 'kernel'), `${' '.repeat(0x202)}HdrS`);
});
afterEach(() => remove());

const LAUNCH = ['--platform', 'sev', '--policy', 'nodbg,noks,nosend', '--firmware', 'fw', '--kernel', 'kernel'];

/** Writes certificates as a host would hand them over. */
function certificates(name: string, chain: Partial<ChainBytes>): void {
  fs.mkdirSync(path.join(folder, name));
  for (const [usage, bytes] of Object.entries(chain)) {
    fs.writeFileSync(path.join(folder, name, `${usage}.cert`), bytes);
  }
}

const create = (...args: string[]) => bootseal(['session', 'create', ...LAUNCH, ...args, '--out', 'launch'], folder);
const read = (name: string) => fs.readFileSync(path.join(folder, 'launch', name));

describe('session create', () => {
  it('needs no word of acceptance for enforcing firmware and a real machine', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('rome');
    certificates('certs', chain);
    const ran = await create('--platform-certs', 'certs', '--json');
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(ran.stdout)).toMatchObject({ root: 'rome', verified: true, firmware: { lint: 'enforcing' } });
    const record = parseRecord(read('record.json').toString());
    expect(record).toMatchObject({ platformKey: { root: 'rome', verified: true }, used: null });
    expect(JSON.parse(ran.stdout).expected).toEqual(record.expected);
  });

  it('refuses keys of firmware older than it accepts, unless the owner lowers that', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('naples');
    certificates('certs', chain);
    for (const args of [
      ['--platform-certs', 'certs'],
      ['--pdh', 'certs/pdh.cert', '--insecure-unverified-pdh'],
    ]) {
      const ran = await create(...args);
      expect(ran).toMatchObject({ status: 1, stdout: '' });
      expect(ran.stderr).toContain("the platform's PDH was made by firmware of API 0.16, the session accepts 0.17.0");
      expect(fs.existsSync(path.join(folder, 'launch'))).toBe(false);
    }
    const ran = await create('--platform-certs', 'certs', '--minimum-api', '0.16', '--json');
    expect(ran.status).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({ root: 'naples', verified: true });
    expect(ran.stderr).toContain('warning: the chain ends in the root naples');
    expect(ran.stderr).toContain(
      'warning: --minimum-api lets in platforms older than 0.17: there a packet is not bound to the measurement',
    );
  });

  it('refuses a chain of another generation than --root names', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('rome');
    certificates('certs', chain);
    const ran = await create('--platform-certs', 'certs', '--root', 'milan,genoa');
    expect(ran).toMatchObject({ status: 1, stdout: '' });
    expect(ran.stderr).toContain("the chain ends in AMD's root rome, not in milan or genoa");
    expect(fs.existsSync(path.join(folder, 'launch'))).toBe(false);
    for (const wrong of ['rome,zen', '', 'rome,', 'constructor']) {
      const refused = await create('--platform-certs', 'certs', '--root', wrong);
      expect(refused).toMatchObject({ status: 2 });
      expect(refused.stderr).toContain('naples, rome, milan, genoa, turin');
    }
    expect(await create('--pdh', 'certs/pdh.cert', '--insecure-unverified-pdh', '--root', 'rome')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--root'),
    });
    expect(await create('--platform-certs', 'certs', '--root', 'Milan,ROME')).toMatchObject({ status: 0, stderr: '' });
  });

  it.each([
    ['the whole export in one file', (c: ChainBytes) => [c.pdh, c.pek, c.oca, c.cek, c.ask, c.ark]],
    ['an export without AMD’s part', (c: ChainBytes) => [c.pdh, c.pek, c.oca, c.cek]],
  ])('takes %s', async (_, parts) => {
    fs.writeFileSync(path.join(folder, 'export'), Buffer.concat(parts(realChain('rome'))));
    expect(await create('--platform-certs', 'export')).toMatchObject({ status: 0 });
  });

  it('refuses a chain that the host made up from the root down', async () => {
    certificates('certs', forgedPlatform().chain);
    const ran = await create('--platform-certs', 'certs');
    expect(ran).toMatchObject({ status: 1, stdout: '' });
    expect(ran.stderr).toContain("none of AMD's root keys");
    expect(fs.readdirSync(folder).sort()).toEqual(['certs', 'fw', 'kernel']);
  });

  it('refuses it without its root and ASK as well', async () => {
    const { ask: _ask, ark: _ark, ...chain } = forgedPlatform().chain;
    certificates('certs', chain);
    expect(await create('--platform-certs', 'certs')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("not signed by any of AMD's signing keys"),
    });
  });

  it('tells an owner with the CEK of query-sev-capabilities where the signed one is', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('rome');
    certificates('certs', { ...chain, cek: resign(chain.cek, []) });
    const ran = await create('--platform-certs', 'certs');
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('cek: it carries no signature of AMD');
    expect(ran.stderr).toContain('hint: fetch the signed CEK');
    expect(fs.existsSync(path.join(folder, 'launch'))).toBe(false);
  });

  it('makes what the platform opens to the very keys in tk, and says nothing of them', async () => {
    const { chain, pdhKey } = forgedPlatform();
    certificates('certs', { pdh: chain.pdh });
    const drawn: Uint8Array[] = [];
    const copies: Uint8Array[] = [];
    const randomBytes = (size: number) => {
      const bytes = crypto.getRandomValues(new Uint8Array(size));
      drawn.push(bytes);
      copies.push(bytes.slice());
      return bytes;
    };
    const now = () => new Date('2026-11-23T09:00:00.000Z');
    const args = [
      'session',
      'create',
      ...LAUNCH,
      '--pdh',
      'certs/pdh.cert',
      '--insecure-unverified-pdh',
      '--out',
      'launch',
    ];
    const ran = await bootseal(args, folder, { randomBytes, now });
    expect(ran.status).toBe(0);

    expect(fs.readdirSync(path.join(folder, 'launch')).sort()).toEqual(['godh', 'record.json', 'session', 'tk']);
    const [godh, session] = ['godh', 'session'].map((name) => base64ToBytes(read(name).toString().replace(/\n$/, '')));
    if (godh === undefined || session === undefined) throw new Error('unreachable');
    const opened = openSession({ godh, session, pdhKey, policy: 0xb }, nodePublicKey);
    expect(opened).toEqual(parseTk(read('tk')));
    expect(parseRecord(read('record.json').toString())).toMatchObject({
      created: '2026-11-23T09:00:00.000Z',
      policy: 0xb,
      platformKey: { verified: false, root: null },
    });

    // Ephemeral key, TEK and TIK are fresh, wiped afterwards, and in nothing but tk.
    expect(drawn.map((bytes) => bytes.length)).toEqual([48, 16, 16, 16, 16]);
    const [ephemeral, tek, tik] = copies;
    expect(opened).toEqual({ tek, tik });
    for (const secret of drawn.slice(0, 3)) expect(secret).toEqual(new Uint8Array(secret.length));
    const said = [ran.stdout, ran.stderr, ...['godh', 'session', 'record.json'].map((name) => read(name).toString())];
    for (const secret of [ephemeral, tek, tik]) {
      if (secret === undefined) throw new Error('unreachable');
      for (const text of said) {
        expect(text).not.toContain(bytesToHex(secret));
        expect(text).not.toContain(Buffer.from(secret).toString('base64').replace(/=+$/, ''));
      }
    }
  });

  it('leaves nothing behind, wipes its keys, when the folder cannot be written', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('rome');
    certificates('certs', chain);
    const drawn: Uint8Array[] = [];
    const randomBytes = (size: number) => {
      const bytes = crypto.getRandomValues(new Uint8Array(size));
      drawn.push(bytes);
      return bytes;
    };
    const args = ['session', 'create', ...LAUNCH, '--platform-certs', 'certs', '--out', 'fw/launch'];
    const ran = await bootseal(args, folder, { randomBytes });
    expect(ran).toMatchObject({ status: 5, stdout: '' });
    for (const secret of drawn.slice(0, 3)) expect(secret).toEqual(new Uint8Array(secret.length));
    expect(fs.readdirSync(folder).sort()).toEqual(['certs', 'fw', 'kernel']);
  });

  it('never makes the same session twice', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('rome');
    certificates('certs', chain);
    const made = new Set<string>();
    for (let i = 0; i < 3; i++) {
      expect((await create('--platform-certs', 'certs', '--force')).status).toBe(0);
      for (const name of ['godh', 'session', 'tk']) made.add(read(name).toString('hex'));
    }
    expect(made.size).toBe(9);
  });

  it('says which entries of a folder it passes over', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('rome');
    certificates('certs', chain);
    fs.mkdirSync(path.join(folder, 'certs', 'ark.cert'));
    fs.symlinkSync('/dev/zero', path.join(folder, 'certs', 'ask.cert'));
    fs.symlinkSync('nowhere', path.join(folder, 'certs', 'chain'));
    fs.writeFileSync(path.join(folder, 'certs', 'pdh2.cert\u001b[2J'), chain.pek);
    const ran = await create('--platform-certs', 'certs');
    expect(ran).toMatchObject({ status: 0 });
    expect(ran.stderr).toBe(
      'bootseal: note: certs: not read: ark.cert (no file), ask.cert (no file), chain (no file), pdh2.cert?[2J (no certificate by its name)\n',
    );
  });

  it('follows links to files, as a secret mounted by Kubernetes has them', async () => {
    const { ask: _ask, ark: _ark, ...chain } = realChain('rome');
    certificates('certs', {});
    certificates('certs/..2026_11_23', chain);
    fs.symlinkSync('..2026_11_23', path.join(folder, 'certs', '..data'));
    for (const usage of Object.keys(chain)) {
      fs.symlinkSync(`..data/${usage}.cert`, path.join(folder, 'certs', `${usage}.cert`));
    }
    expect(await create('--platform-certs', 'certs')).toMatchObject({ status: 0, stderr: '' });
  });

  it('refuses a file that is too large for certificates', async () => {
    fs.writeFileSync(path.join(folder, 'export'), new Uint8Array((64 << 10) + 1));
    expect(await create('--platform-certs', 'export')).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('larger than 65536 bytes'),
    });
  });
});
