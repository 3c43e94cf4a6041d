import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type SourceOptions, withImageSource } from '../../src/cli/image-source.ts';
import { processIo } from '../../src/cli/io.ts';
import { scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { type TestEntry, tarArchive } from '../tar-archive.ts';
import { checkExt4, e2fsprogs, readContent, readExt4 } from './ext4-peer.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());
const at = (name: string) => path.join(folder, name);

async function build(from: string, options: Partial<SourceOptions> = {}): Promise<string> {
  const io = { ...processIo(), cwd: folder, now: () => new Date(1.7e12) };
  const all = { from, size: 16 << 20, ...options };
  await withImageSource(io, all, new AbortController().signal, async ({ handle }) => {
    fs.copyFileSync(`/proc/self/fd/${handle.fd}`, at('raw'));
  });
  checkExt4(at('raw'));
  return at('raw');
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const zstd = (bytes: Uint8Array) => execFileSync('zstd', ['-qc'], { input: bytes });

const LAYERS: readonly (readonly TestEntry[])[] = [
  [
    { name: 'etc/', type: '5', mode: 0o755 },
    { name: 'etc/passwd', data: 'root' },
    { name: 'etc/old', data: 'old' },
    { name: 'var/cache/a', data: 'a' },
    { name: 'var/cache/b', data: 'b' },
    { name: 'lib', type: '2', linkname: 'usr/lib' },
    { name: 'bin/tool', data: 'tool', mode: 0o755 },
  ],
  [
    { name: 'etc/', type: '5', mode: 0o700 },
    { name: 'etc/.wh.old' },
    { name: 'var/cache/c', data: 'c' },
    { name: 'var/cache/.wh..wh..opq' },
    { name: '.wh.lib' },
    { name: 'lib/', type: '5' },
    { name: 'lib/new', data: 'new' },
  ],
  [
    { name: 'etc/passwd', data: 'changed', uid: 3 },
    { name: 'bin/again', type: '1', linkname: 'bin/tool' },
  ],
];
const EXPECTED = ['', 'bin', 'bin/again', 'bin/tool', 'etc', 'etc/passwd', 'lib', 'lib/new', 'lost+found', 'var']
  .concat(['var/cache', 'var/cache/c'])
  .sort();

/** Writes an OCI layout; `change` may spoil the blobs. */
function writeLayout(name: string, change: (blobs: Map<string, Buffer>) => void = () => {}, images = 1): void {
  const blobs = new Map<string, Buffer>();
  const add = (mediaType: string, bytes: Buffer) => {
    blobs.set(sha256(bytes), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const json = (mediaType: string, value: object) => add(mediaType, Buffer.from(JSON.stringify(value)));
  const oci = 'application/vnd.oci.image';
  const tars = LAYERS.map((entries) => tarArchive(...entries));
  const packed = [
    add(`${oci}.layer.v1.tar`, tars[0] ?? Buffer.alloc(0)),
    add(`${oci}.layer.v1.tar+gzip`, gzipSync(tars[1] ?? '')),
    add(`${oci}.layer.v1.tar+zstd`, zstd(tars[2] ?? Buffer.alloc(0))),
  ];
  const rootfs = { type: 'layers', diff_ids: tars.map((tar) => `sha256:${sha256(tar)}`) };
  const config = json(`${oci}.config.v1+json`, { architecture: 'amd64', os: 'linux', rootfs });
  const manifest = json(`${oci}.manifest.v1+json`, { schemaVersion: 2, config, layers: packed });
  const attestation = { ...manifest, annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } };
  const inner = json(`${oci}.index.v1+json`, { schemaVersion: 2, manifests: [manifest, attestation] });
  const index = { schemaVersion: 2, manifests: Array.from({ length: images }, () => inner) };
  change(blobs);
  fs.mkdirSync(at(`${name}/blobs/sha256`), { recursive: true });
  for (const [digest, bytes] of blobs) fs.writeFileSync(at(`${name}/blobs/sha256/${digest}`), bytes);
  fs.writeFileSync(at(`${name}/oci-layout`), '{"imageLayoutVersion":"1.0.0"}');
  fs.writeFileSync(at(`${name}/index.json`), JSON.stringify(index));
}

function check(raw: string): void {
  const found = readExt4(raw);
  expect([...found.keys()].sort()).toEqual(EXPECTED);
  expect(found.get('etc')).toMatchObject({ mode: 0o700 });
  expect(found.get('etc/passwd')).toMatchObject({ uid: 3, links: 1 });
  expect(found.get('bin/again')).toMatchObject({ mode: 0o755, links: 2, inode: found.get('bin/tool')?.inode });
  expect(readContent(raw, 'etc/passwd', at('out')).toString()).toBe('changed');
}

const tarOf = (name: string) => execFileSync('tar', ['-C', at(name), '-c', '.'], { maxBuffer: 1 << 26 });

describeWith(e2fsprogs, 'a file system from a container image', () => {
  it('has the layers of an OCI layout one over the other, from a folder or an archive of it', async () => {
    writeLayout('layout');
    check(await build('layout'));
    fs.writeFileSync(at('layout.tar'), tarOf('layout'));
    check(await build('layout.tar'));
    fs.writeFileSync(at('layout.tar.gz'), gzipSync(tarOf('layout')));
    check(await build('layout.tar.gz'));
  });

  it('has the layers of what docker save writes', async () => {
    const tars = LAYERS.map((entries) => tarArchive(...entries));
    const config = JSON.stringify({ rootfs: { type: 'layers', diff_ids: tars.map((tar) => `sha256:${sha256(tar)}`) } });
    const names = tars.map((_, i) => `${i}/layer.tar`);
    const manifest = JSON.stringify([{ Config: 'c.json', RepoTags: ['x:latest'], Layers: names }]);
    const files = tars.map((data, i) => ({ name: names[i] ?? '', data }));
    const saved = (change: readonly TestEntry[] = []) =>
      tarArchive(...files, { name: 'c.json', data: config }, { name: 'manifest.json', data: manifest }, ...change);
    fs.writeFileSync(at('saved.tar'), saved());
    check(await build('saved.tar'));
    fs.writeFileSync(at('saved.tar.gz'), gzipSync(saved()));
    check(await build('saved.tar.gz'));
    fs.writeFileSync(at('other.tar'), saved([{ name: '2/layer.tar', data: tarArchive({ name: 'evil' }) }]));
    await expect(build('other.tar')).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining('other.tar: "2/layer.tar" is not what the image names: another SHA-256'),
    });
  });

  it('takes a file named manifest.json for a file when it is none of docker save', async () => {
    fs.writeFileSync(at('app.tar'), tarArchive({ name: 'manifest.json', data: '{"name":"app"}' }, { name: 'app' }));
    expect([...readExt4(await build('app.tar')).keys()].sort()).toEqual(['', 'app', 'lost+found', 'manifest.json']);
  });

  it('refuses any blob that is not what its name says', async () => {
    const count = 6;
    for (let i = 0; i < count; i++) {
      writeLayout(`layout${i}`, (blobs) => {
        expect(blobs.size).toBe(count);
        const [digest = '', bytes = Buffer.alloc(0)] = [...blobs][i] ?? [];
        const copy = Buffer.from(bytes);
        copy[copy.length - 1] = (copy[copy.length - 1] ?? 0) ^ 1;
        blobs.set(digest, copy);
      });
      await expect(build(`layout${i}`), `blob ${i}`).rejects.toMatchObject({ kind: 'format' });
    }
  });

  it('refuses a layer of another length, one that is missing, and more than one image', async () => {
    writeLayout('longer', (blobs) => {
      const [digest = '', bytes = Buffer.alloc(0)] = [...blobs][0] ?? [];
      blobs.set(digest, Buffer.concat([bytes, Buffer.alloc(512)]));
    });
    await expect(build('longer')).rejects.toThrow(/has [0-9]+ bytes, and the image names [0-9]+/);
    writeLayout('missing', (blobs) => blobs.delete([...blobs.keys()][1] ?? ''));
    await expect(build('missing')).rejects.toThrow(/missing: blobs\/sha256\/[0-9a-f]+ is not there/);
    writeLayout('two', () => {}, 2);
    await expect(build('two')).rejects.toMatchObject({ kind: 'usage', hint: expect.stringContaining('skopeo') });
  });
});
