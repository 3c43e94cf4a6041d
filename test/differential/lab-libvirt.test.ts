/**
 * The lab's platform against libvirt's virt-qemu-sev-validate: what the PSP measures of a real, paused QEMU is accepted by the peer, and
 * the PSP takes the packet that the peer makes for it.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { findProfile } from '../../src/core/measurement/profiles.ts';
import { parseCertificate } from '../../src/core/session/certificate.ts';
import { createSession } from '../../src/core/session/session.ts';
import { nodePublicKey } from '../../src/host/public-key.ts';
import { QmpClient } from '../../src/host/qmp/client.ts';
import { readRam, startLab } from '../../src/lab/machine.ts';
import { openLabPlatform } from '../../src/lab/psp/platform.ts';
import { scratch } from '../cli/script.ts';
import { GUEST } from '../e2e/guest-tree.ts';
import { SECRET_AREA, writeFirmware } from '../e2e/lab-guest-files.ts';
import { describeWith } from '../needs.ts';
import { LIBVIRT_PEER, runPeer } from './libvirt-peer.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
/** EPYC: family 23, model 1, stepping 2. */
const CPU = { signature: 0x800f12, words: ['--cpu-family=23', '--cpu-model=1', '--cpu-stepping=2'] };

const NEEDED = { ...LIBVIRT_PEER, files: [...LIBVIRT_PEER.files, ...GUEST.files] };

describeWith(NEEDED, 'virt-qemu-sev-validate and the lab', () => {
  it.each([
    ['sev', 0x3, 1],
    ['sev-es', 0x7, 3],
  ] as const)(
    '%s: accepts the measurement, and its packet is accepted',
    async (name, policy, vcpus) => {
      writeFirmware(at('fw'));
      for (const file of ['kernel', 'initrd']) fs.writeFileSync(at(file), `${file} of ${name}`);
      fs.writeFileSync(at('pass'), 'correct horse battery');
      const platform = await openLabPlatform(at('lab'));
      const [tek, tik] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
      fs.writeFileSync(at('tk'), Buffer.concat([tek, tik]));
      const pdh = parseCertificate(platform.chain.pdh, 'pdh');
      const fresh = { ephemeralKey: new Uint8Array(48).fill(3), nonce: new Uint8Array(16), iv: new Uint8Array(16) };
      const owner = createSession({ pdh, tek, tik, policy, ...fresh }, nodePublicKey);
      const place = { folder: fs.mkdtempSync(at('m')), qmp: at(`q-${name}`), deadline: 60_000 };
      const machine = await startLab(
        {
          ...{ platform, policy, owner, firmware: at('fw'), vcpus, memory: 256, disks: [] },
          boot: { kernel: at('kernel'), initrd: at('initrd'), cmdline: Buffer.from('console=ttyS0') },
          // The peer's CPU state is that of hosts before KVM_SEV_INIT2.
          profile: findProfile('qemu-legacy'),
          cpu: { signature: CPU.signature, features: 0n },
        },
        place,
      );
      try {
        const args = [
          ...[
            `--firmware=${at('fw')}`,
            `--kernel=${at('kernel')}`,
            `--initrd=${at('initrd')}`,
            '--cmdline=console=ttyS0',
          ],
          ...['--api-major=1', '--api-minor=55', '--build-id=255', `--policy=${policy}`, `--tk=${at('tk')}`],
          ...(name === 'sev' ? [] : [`--num-cpus=${vcpus}`, ...CPU.words]),
          `--measurement=${Buffer.from(machine.measurement).toString('base64')}`,
        ];
        const [header, payload] = [at('header'), at('payload')];
        const inject = [
          `--inject-secret=luks-key:${at('pass')}`,
          `--secret-header=${header}`,
          `--secret-payload=${payload}`,
        ];
        expect(runPeer([...args, ...inject])).toMatchObject({ status: 0 });
        const text = (file: string) => fs.readFileSync(file, 'latin1').trim();
        const client = await QmpClient.connect(place.qmp);
        await client.execute('sev-inject-launch-secret', { 'packet-header': text(header), secret: text(payload) });
        client.close();
        expect(Buffer.from(readRam(machine.ram, SECRET_AREA, 256)).includes('correct horse battery')).toBe(true);
        const wrong = [...args.slice(0, -1), `--measurement=${Buffer.alloc(48).toString('base64')}`];
        expect(runPeer(wrong)).toMatchObject({ status: 1 });
      } finally {
        await machine.stop();
      }
    },
    120_000,
  );
});
