import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AMDSEV, firmwareImage, footerEntry, NAME, type Tables, withFooter } from '../firmware-image.ts';
import { bootseal, scratch } from './script.ts';

/** No image that verifies every blob is at hand, so these are built. */
describe('firmware lint of an image that enforces', () => {
  const { folder, remove } = scratch();
  afterAll(remove);

  async function lint(tables: Tables, ...options: readonly string[]) {
    fs.writeFileSync(path.join(folder, 'fw'), firmwareImage(tables));
    return bootseal(['firmware', 'lint', 'fw', ...options], folder);
  }

  it('ends with 0', async () => {
    const ran = await lint(AMDSEV);
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect(ran.stdout).toMatch(/^class: enforcing\n/);
    expect(ran.stdout).toMatch(/\nadvice: use this image; its kernel hashes mean what they say\n$/);
  });

  it.each(['sev', 'sev-es', 'snp'])('ends with 0 for %s too', async (platform) => {
    const ran = await lint(AMDSEV, '--platform', platform);
    expect(ran.status).toBe(0);
    expect(ran.stdout).toContain(`\n  ${platform.padEnd(15)}yes\n`);
    const json = JSON.parse((await lint(AMDSEV, '--platform', platform, '--json')).stdout) as object;
    expect(json).toMatchObject({ class: 'enforcing', platform: { name: platform, answer: 'yes' } });
  });

  it('ends with 1 for a platform that it does not serve', async () => {
    const { reset: _, ...tables } = AMDSEV;
    const ran = await lint(tables, '--platform', 'sev-es');
    expect(ran.status).toBe(1);
    expect(ran.stdout).toMatch(/^class: enforcing\n/);
    expect(ran.stderr).toMatch(/^bootseal: error: the firmware does not serve sev-es: its footer does not say where/);
    expect(ran.stderr).toContain('\nbootseal: hint: build OvmfPkg/AmdSev/AmdSevX64.dsc\n');
    expect((await lint(tables, '--platform', 'sev')).status).toBe(0);
  });

  it('says null when no platform is asked for', async () => {
    expect(JSON.parse((await lint(AMDSEV, '--json')).stdout)).toMatchObject({ platform: null });
  });
});

describe('firmware inspect of a hostile image', () => {
  const { folder, remove } = scratch();
  afterAll(remove);
  const inspect = async (data: Uint8Array, ...options: readonly string[]) => {
    fs.writeFileSync(path.join(folder, 'fw'), withFooter(new Uint8Array(4096), footerEntry(NAME, data)));
    return bootseal(['firmware', 'inspect', 'fw', ...options], folder);
  };

  it('lets none of its bytes reach the terminal', async () => {
    const data = Uint8Array.from(Buffer.from('\x1b]0;owned\x07"\n\u202e'));
    const ran = await inspect(data);
    expect(ran.stdout).toContain(`\n  ${NAME}  unknown  1b5d303b6f776e656407220ae280ae\n`);
    expect(ran.stdout).toMatch(/^[\x20-\x7e\n]+$/);
    expect(JSON.parse((await inspect(data, '--json')).stdout)).toMatchObject({
      footer: [{ guid: NAME, name: null, data: '1b5d303b6f776e656407220ae280ae' }],
    });
  });

  it('does not fill the screen', async () => {
    expect((await inspect(new Uint8Array(32))).stdout).toContain(`unknown  ${'00'.repeat(32)}\n`);
    expect((await inspect(new Uint8Array(4000))).stdout).toContain(`unknown  ${'00'.repeat(32)}... (4000 bytes)\n`);
  });
});
