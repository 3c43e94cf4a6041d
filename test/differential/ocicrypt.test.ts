import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { buildSecretTable } from '../../src/core/secret/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { tarArchive } from '../tar-archive.ts';

const GUID = '1ee27366-0c87-43a6-af48-28543eaf7cb0';
const SKOPEO = {
  name: 'skopeo',
  files: ['/usr/bin/skopeo'],
  how: 'run npm test as root once, or install skopeo',
};

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Writes a container image of one layer (OCI layout). */
function writeImage(folder: string, layer: Buffer): void {
  const blobs = path.join(folder, 'blobs', 'sha256');
  fs.mkdirSync(blobs, { recursive: true });
  const blob = (mediaType: string, bytes: Buffer) => {
    fs.writeFileSync(path.join(blobs, sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const rootfs = { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] };
  const config = blob(
    'application/vnd.oci.image.config.v1+json',
    json({ architecture: 'amd64', os: 'linux', config: {}, rootfs }),
  );
  const layers = [blob('application/vnd.oci.image.layer.v1.tar', layer)];
  const manifest = blob('application/vnd.oci.image.manifest.v1+json', json({ schemaVersion: 2, config, layers }));
  fs.writeFileSync(path.join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  fs.writeFileSync(path.join(folder, 'index.json'), json({ schemaVersion: 2, manifests: [manifest] }));
}

/** Returns the layer of an image, and whether it is encrypted. */
function readLayer(folder: string): { readonly bytes: Buffer; readonly mediaType: string } {
  const blob = (digest: string) => fs.readFileSync(path.join(folder, 'blobs', digest.replace(':', '/')));
  const index = JSON.parse(fs.readFileSync(path.join(folder, 'index.json'), 'utf8'));
  const { layers } = JSON.parse(blob(index.manifests[0].digest).toString());
  return { bytes: blob(layers[0].digest), mediaType: layers[0].mediaType };
}

describeWith(SKOPEO, 'skopeo', () => {
  it('decrypts a layer with the private key that came with the launch, and with no other', async () => {
    const { folder, remove } = scratch();
    const layer = tarArchive({ name: 'etc/secret', data: 'of the image' });
    writeImage(path.join(folder, 'plain'), layer);
    const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
    const { publicKey, privateKey } = pair();
    const pem = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    fs.writeFileSync(path.join(folder, 'public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    fs.writeFileSync(path.join(folder, 'other.pem'), pair().privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const table = buildSecretTable([{ guid: GUID, value: pem, form: 'raw' }], { room: 0xc00 });
    fs.writeFileSync(path.join(folder, 'table'), table);

    const copy = (...words: string[]) => ['--insecure-policy', 'copy', '-q', ...words];
    const options = { cwd: folder, encoding: 'utf8' } as const;
    execFileSync('/usr/bin/skopeo', copy('--encryption-key', 'jwe:public.pem', 'oci:plain', 'oci:encrypted'), options);
    const encrypted = readLayer(path.join(folder, 'encrypted'));
    expect(encrypted.mediaType).toMatch(/\+encrypted$/);
    expect(encrypted.bytes.includes('of the image')).toBe(false);

    const read = await bootseal(['guest', 'read', GUID, '--table', 'table', '--out', 'key.pem'], folder);
    expect(read.status, read.stderr).toBe(0);
    execFileSync('/usr/bin/skopeo', copy('--decryption-key', 'key.pem', 'oci:encrypted', 'oci:decrypted'), options);
    const { bytes } = readLayer(path.join(folder, 'decrypted'));
    expect((bytes.readUInt16BE(0) === 0x1f8b ? gunzipSync(bytes) : bytes).equals(layer)).toBe(true);

    const refused = spawnSync(
      '/usr/bin/skopeo',
      copy('--decryption-key', 'other.pem', 'oci:encrypted', 'oci:other'),
      options,
    );
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toMatch(/decrypt/);
    remove();
  }, 60_000);
});
