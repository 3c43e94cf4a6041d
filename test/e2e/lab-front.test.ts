/** The lab's QMP front against the real QEMU behind it: the same words where both can speak. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findProfile } from '../../src/core/measurement/profiles.ts';
import { QmpClient, QmpRefusal } from '../../src/host/qmp/client.ts';
import { type LabMachine, startLab } from '../../src/lab/machine.ts';
import { openLabPlatform } from '../../src/lab/psp/platform.ts';
import { scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST } from './guest-tree.ts';
import { writeFirmware } from './lab-guest-files.ts';

describeWith(GUEST, "the lab's QMP", () => {
  let folder: string;
  let remove: () => void;
  let count = 0;
  const at = (name: string) => path.join(folder, name);
  beforeAll(() => {
    ({ folder, remove } = scratch());
    writeFirmware(at('fw'));
    fs.writeFileSync(at('kernel'), 'kernel');
  });
  afterAll(() => remove());

  async function start(): Promise<{ machine: LabMachine; qmp: string; upstream: string }> {
    const place = { folder: fs.mkdtempSync(at('m')), qmp: at(`q${count++}`), deadline: 60_000 };
    const machine = await startLab(
      {
        ...{ platform: await openLabPlatform(at('lab')), policy: 1, owner: undefined, firmware: at('fw') },
        boot: { kernel: at('kernel'), initrd: undefined, cmdline: Buffer.of() },
        ...{ profile: findProfile('qemu'), cpu: { signature: 0, features: 0n }, vcpus: 1, memory: 256, disks: [] },
      },
      place,
    );
    return { machine, qmp: place.qmp, upstream: path.join(place.folder, 'upstream') };
  }

  it('refuses malformed arguments in the words of the QEMU behind it', async () => {
    const { machine, qmp, upstream } = await start();
    const cases: [string, Record<string, unknown>][] = [
      ['sev-inject-launch-secret', {}],
      ['sev-inject-launch-secret', { 'packet-header': 'AAAA' }],
      ['sev-inject-launch-secret', { 'packet-header': 1, secret: 'AAAA' }],
      ['sev-inject-launch-secret', { 'packet-header': 'AAAA', secret: [] }],
      ['sev-inject-launch-secret', { 'packet-header': 'AAAA', secret: 'AAAA', gpa: 'x' }],
      ['sev-inject-launch-secret', { 'packet-header': 'AAAA', secret: 'AAAA', more: 1 }],
      ['query-sev-attestation-report', {}],
      ['query-sev-attestation-report', { mnonce: 7 }],
      ['query-sev', { a: 1 }],
      ['query-sev', { toString: 1 }],
      ['query-sev', JSON.parse('{"__proto__":1}')],
      ['sev-inject-launch-secret', { 'packet-header': 'AAAA', secret: 'AAAA', constructor: 1 }],
      ['cont', { a: 1 }],
      ['query-sev-capabilities', { a: 1 }],
      ['query-sev-launch-measure', { a: 1 }],
    ];
    const ask = async (socket: string) => {
      const client = await QmpClient.connect(socket);
      const words: string[] = [];
      for (const [command, args] of cases) {
        words.push(
          await client.execute(command, args).then(
            () => 'accepted',
            (error) => (error instanceof QmpRefusal ? error.words : `${error}`),
          ),
        );
      }
      client.close();
      return words;
    };
    try {
      expect(await ask(qmp)).toEqual(await ask(upstream));
    } finally {
      await machine.stop();
    }
  }, 60_000);

  it('says to what no client should send what the QEMU behind it says', async () => {
    const { machine, qmp, upstream } = await start();
    const texts = [
      "{'execute':'no-such','id':'a\"b'}",
      '{"execute":"no-such","id":1e999}',
      '{"execute":"toString"}',
      '{"execute":"__proto__"}',
      '{"execute":5,"id":1}',
      '{"id":1}',
      '{"execute":"query-sev","extra":1,"id":3}',
      '{"execute":"query-sev","__proto__":{},"id":2}',
      '{"execute":"query-sev","arguments":[],"id":6}',
      '{"execute":"query-sev","execute":"query-sev","id":7}',
      '{"execute":"cont","extra":1}',
      '[]',
      '5',
      "'x'",
    ];
    const talk = (socket: string) =>
      new Promise<unknown[]>((resolve, reject) => {
        const client = net.createConnection({ path: socket });
        let got = '';
        client.on('error', reject);
        client.on('data', (bytes: Buffer) => {
          got += bytes.toString();
          const lines = got.split('\r\n').slice(2, -1);
          if (lines.length < texts.length) return;
          client.destroy();
          // Without the order of members, and with the id that is no JSON as it is.
          resolve(lines.map((line) => (line.includes(': inf') ? line : JSON.parse(line))));
        });
        // QEMU reads eight ahead and lets the rest wait.
        client.write(`{"execute":"qmp_capabilities"}\n${texts.join('\n')}\n`);
      });
    try {
      const told = await talk(upstream);
      expect(told).toHaveLength(texts.length);
      expect(await talk(qmp)).toEqual(told);
      expect(await talk(qmp)).toEqual(told);
    } finally {
      await machine.stop();
    }
  }, 60_000);

  it('gives what a launch needs, and lets a guest run that nobody brought a secret', async () => {
    const { machine, qmp } = await start();
    try {
      const client = await QmpClient.connect(qmp);
      expect(await client.execute('query-sev')).toMatchObject({ enabled: true, state: 'launch-secret', policy: 1 });
      expect(await client.execute('query-sev-capabilities')).toMatchObject({ cbitpos: 51, 'reduced-phys-bits': 1 });
      expect(
        await client.execute('query-sev-attestation-report', { mnonce: Buffer.alloc(16).toString('base64') }),
      ).toEqual({
        data: expect.stringMatching(/^[A-Za-z0-9+/=]{280}$/),
      });
      await client.execute('cont');
      expect(await client.execute('query-sev')).toMatchObject({ state: 'running' });
      expect(await client.execute('query-status')).toMatchObject({ running: true });
      client.close();
    } finally {
      await machine.stop();
    }
  }, 60_000);
});
