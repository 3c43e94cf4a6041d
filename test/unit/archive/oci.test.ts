import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blobPath,
  isIndex,
  parseDiffIds,
  parseDockerManifest,
  parseIndex,
  parseManifest,
} from '../../../src/core/archive/oci.ts';
import { BootsealError } from '../../../src/core/errors.ts';

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const HEX = 'ab'.repeat(32);
const DIGEST = `sha256:${HEX}`;
const OCI = 'application/vnd.oci.image';
const MANIFEST = { mediaType: `${OCI}.manifest.v1+json`, digest: DIGEST, size: 7 };
const config = { mediaType: `${OCI}.config.v1+json`, digest: DIGEST, size: 1 };
const layer = (mediaType: string) => ({ mediaType, digest: DIGEST, size: 2 });

describe('parseIndex', () => {
  it('returns images and further indexes, and nothing that is said about them', () => {
    const inner = { ...MANIFEST, mediaType: `${OCI}.index.v1+json` };
    const attestation = { ...MANIFEST, annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } };
    const other = { ...MANIFEST, mediaType: 'application/vnd.example' };
    const named = { ...MANIFEST, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
    const found = parseIndex(json({ manifests: [named, inner, attestation, other] }), 'i');
    expect(found).toEqual([
      { mediaType: MANIFEST.mediaType, digest: HEX, size: 7 },
      { mediaType: inner.mediaType, digest: HEX, size: 7 },
    ]);
    expect(found.map(isIndex)).toEqual([false, true]);
    expect(blobPath({ ...MANIFEST, digest: HEX })).toBe(`blobs/sha256/${HEX}`);
  });

  it.each<[unknown, string]>([
    [[], 'i: not what an image has there'],
    [{}, 'i: manifests is no list'],
    [{ manifests: {} }, 'i: manifests is no list'],
    [{ manifests: [1] }, 'i: not what an image has there'],
    [{ manifests: [{ ...MANIFEST, size: -1 }] }, 'i: a size that is none'],
    [{ manifests: [{ ...MANIFEST, size: '7' }] }, 'i: a size that is none'],
    [{ manifests: [{ ...MANIFEST, mediaType: 7 }] }, 'i: not the text that an image has there'],
    [{ manifests: [{ ...MANIFEST, digest: `sha512:${HEX}${HEX}` }] }, 'i: a digest that is no SHA-256'],
    [{ manifests: [{ ...MANIFEST, digest: `sha256:../${HEX.slice(3)}` }] }, 'i: a digest that is no SHA-256'],
    [{ manifests: [{ ...MANIFEST, digest: `sha256:${HEX.toUpperCase()}` }] }, 'i: a digest that is no SHA-256'],
  ])('refuses %j', (value, message) => {
    expect(() => parseIndex(json(value), 'i')).toThrow(expect.objectContaining({ kind: 'format', message }));
  });

  it('takes blanks around the JSON, as umoci writes it', () => {
    expect(parseIndex(Buffer.from('\n {"manifests":[]} \r\n\t'), 'i')).toEqual([]);
    expect(() => parseIndex(Buffer.from('{"manifests":[]}\n{}'), 'i')).toThrow('something follows');
  });

  it('refuses what is no JSON', () => {
    expect(() => parseIndex(Buffer.from('{'), 'i')).toThrow(expect.objectContaining({ kind: 'format' }));
  });
});

describe('parseManifest', () => {
  it.each([
    `${OCI}.layer.v1.tar`,
    `${OCI}.layer.v1.tar+gzip`,
    `${OCI}.layer.v1.tar+zstd`,
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
  ])('takes layers of type %s', (type) => {
    expect(parseManifest(json({ config, layers: [layer(type)] }), 'm')).toEqual({
      config: { ...config, digest: HEX },
      layers: [{ mediaType: type, digest: HEX, size: 2 }],
    });
  });

  it.each([`${OCI}.layer.v1.tar+gzip+encrypted`, `${OCI}.layer.v1.tar+xz`, 'application/tarball'])(
    'refuses layers of type %s',
    (type) => {
      expect(() => parseManifest(json({ config, layers: [layer(type)] }), 'm')).toThrow(`m: a layer of type "${type}"`);
    },
  );

  it('refuses no layers and too many', () => {
    const many = (count: number) => json({ config, layers: Array(count).fill(layer(`${OCI}.layer.v1.tar`)) });
    expect(() => parseManifest(many(0), 'm')).toThrow('m: 0 layers');
    expect(() => parseManifest(many(1001), 'm')).toThrow('m: 1001 layers');
    expect(parseManifest(many(1000), 'm').layers).toHaveLength(1000);
  });
});

describe('parseDiffIds', () => {
  it('returns digests', () => {
    expect(parseDiffIds(json({ rootfs: { diff_ids: [DIGEST, DIGEST] } }), 'c')).toEqual([HEX, HEX]);
    expect(() => parseDiffIds(json({ rootfs: { diff_ids: ['x'] } }), 'c')).toThrow('c: a digest that is no SHA-256');
    expect(() => parseDiffIds(json({}), 'c')).toThrow('c: not what an image has there');
  });
});

describe('parseDockerManifest', () => {
  it('returns the files, and nothing for another manifest.json', () => {
    const image = { Config: 'c.json', RepoTags: null, Layers: ['a/layer.tar'] };
    expect(parseDockerManifest(json([image]), 'd')).toEqual([{ config: 'c.json', layers: ['a/layer.tar'] }]);
    expect(parseDockerManifest(json([]), 'd')).toEqual([]);
    for (const other of [{}, [1], [{ Config: 'c' }], [{ Layers: [] }]]) {
      expect(parseDockerManifest(json(other), 'd')).toBeUndefined();
    }
    expect(parseDockerManifest(Buffer.from('no JSON'), 'd')).toBeUndefined();
  });

  it('refuses names that are none', () => {
    expect(() => parseDockerManifest(json([{ Config: 1, Layers: ['a'] }]), 'd')).toThrow('d: not the text');
    expect(() => parseDockerManifest(json([{ Config: 'c', Layers: [1] }]), 'd')).toThrow('d: not the text');
    expect(() => parseDockerManifest(json([{ Config: 'c', Layers: [] }]), 'd')).toThrow('d: 0 layers');
    expect(() => parseDockerManifest(json([{ Config: 'c', Layers: 'a' }]), 'd')).toThrow('d: Layers is no list');
  });
});

it('whatever the JSON, what an image says is read or refused', () => {
  const read = (value: unknown) => {
    for (const parse of [parseIndex, parseManifest, parseDiffIds, parseDockerManifest]) {
      try {
        parse(json(value), 'x');
      } catch (error) {
        if (!(error instanceof BootsealError)) throw error;
      }
    }
  };
  fc.assert(fc.property(fc.jsonValue(), read));
  const nested = fc.record({ manifests: fc.jsonValue(), layers: fc.jsonValue(), config: fc.jsonValue() });
  fc.assert(fc.property(nested, read));
});
