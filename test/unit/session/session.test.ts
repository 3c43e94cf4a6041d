import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/bytes.ts';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import { parseCertificate } from '../../../src/core/session/certificate.ts';
import { createSession, openSession, SESSION_SIZE, wrapTransportKeys } from '../../../src/core/session/session.ts';
import { nodePublicKey } from '../../../src/host/public-key.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { ECDH_SHA256, ECDSA_SHA256, ecKey, forgedPlatform, sevCertificate, USAGE } from '../../platform.ts';

interface Inputs {
  readonly nonce_hex: string;
  readonly iv_hex: string;
  readonly tek_hex: string;
  readonly tik_hex: string;
  readonly policy: number;
}
interface WrapVector {
  readonly id: string;
  readonly inputs: Inputs & { readonly z_hex: string };
  readonly expected: Readonly<Record<'nonce' | 'wrap_tk' | 'wrap_iv' | 'wrap_mac' | 'policy_mac', string>>;
}
interface FullVector {
  readonly id: string;
  readonly inputs: Inputs & { readonly pdh_cert: string; readonly ephemeral_private_key_hex: string };
  readonly expected: {
    readonly ecdh_x_hex: string;
    readonly session_buffer_hex: string;
    readonly ephemeral_public: { readonly x_hex: string; readonly y_hex: string };
  };
}
type ZeroVector = { readonly id: string; readonly policy: number } & Readonly<
  Record<'z' | 'nonce' | 'wrap_iv' | 'tek' | 'tik' | 'wrap_tk' | 'wrap_mac' | 'policy_mac', string>
>;
const all = vectors<{ groups: { session: (WrapVector | FullVector)[] } }>('measurement.json').groups.session;
const full = all.filter((vector): vector is FullVector => 'pdh_cert' in vector.inputs);
const wrap = all.filter((vector): vector is WrapVector => 'z_hex' in vector.inputs);

const common = (inputs: Inputs) => ({
  nonce: hexToBytes(inputs.nonce_hex),
  iv: hexToBytes(inputs.iv_hex),
  tek: hexToBytes(inputs.tek_hex),
  tik: hexToBytes(inputs.tik_hex),
  policy: inputs.policy,
});

describe('createSession', () => {
  it('takes every vector', () => {
    expect(wrap.map(({ id }) => id)).toEqual(['all-zero']);
    expect(full.map(({ id }) => id)).toEqual(['full-naples-pdh-fixed-ephemeral', 'full-rome-pdh-fixed-ephemeral']);
  });

  it.each(wrap)('$id', ({ inputs, expected }) => {
    const { nonce, wrap_tk, wrap_iv, wrap_mac, policy_mac } = expected;
    const session = wrapTransportKeys(hexToBytes(inputs.z_hex), common(inputs));
    expect(bytesToHex(session)).toBe(nonce + wrap_tk + wrap_iv + wrap_mac + policy_mac);
  });

  it.each(vectors<{ session: ZeroVector[] }>('secret.json').session)('secret.json $id', (vector) => {
    const session = wrapTransportKeys(hexToBytes(vector.z), {
      nonce: hexToBytes(vector.nonce),
      iv: hexToBytes(vector.wrap_iv),
      tek: hexToBytes(vector.tek),
      tik: hexToBytes(vector.tik),
      policy: vector.policy,
    });
    const { nonce, wrap_tk, wrap_iv, wrap_mac, policy_mac } = vector;
    expect(bytesToHex(session)).toBe(nonce + wrap_tk + wrap_iv + wrap_mac + policy_mac);
  });

  it.each(full)('$id', ({ inputs, expected }) => {
    const pdh = parseCertificate(fixture(inputs.pdh_cert), 'pdh');
    const ephemeralKey = hexToBytes(inputs.ephemeral_private_key_hex);
    if (pdh.key.kind !== 'ec') throw new Error('unreachable');
    expect(bytesToHex(nodePublicKey.agree('P-384', ephemeralKey, pdh.key))).toBe(expected.ecdh_x_hex);
    const { session, godh } = createSession({ pdh, ephemeralKey, ...common(inputs) }, nodePublicKey);
    expect(bytesToHex(session)).toBe(expected.session_buffer_hex);

    // The GODH: a PDH certificate for ECDH with SHA-256 on P-384, coordinates little-endian, both places for signatures empty.
    const { x_hex, y_hex } = expected.ephemeral_public;
    const littleEndian = (hex: string) => concat(hexToBytes(hex).reverse(), new Uint8Array(24));
    const empty = concat(Uint8Array.of(0, 0x10), new Uint8Array(518));
    expect(godh).toEqual(
      concat(
        hexToBytes('01000000'),
        new Uint8Array(4),
        hexToBytes('031000000300000002000000'),
        littleEndian(x_hex),
        littleEndian(y_hex),
        new Uint8Array(880),
        empty,
        empty,
      ),
    );
  });

  const [first] = full;
  if (first === undefined) throw new Error('no vector');
  const inputs = {
    pdh: parseCertificate(fixture(first.inputs.pdh_cert), 'pdh'),
    ephemeralKey: hexToBytes(first.inputs.ephemeral_private_key_hex),
    ...common(first.inputs),
  };

  it.each(['nonce', 'iv', 'tek', 'tik'] as const)('refuses a %s that has not 16 bytes', (name) => {
    for (const size of [0, 15, 17]) {
      const message = `${name}: needs 16 bytes, got ${size}`;
      const wrong = { ...inputs, [name]: new Uint8Array(size) };
      expect(() => createSession(wrong, nodePublicKey)).toThrow(expect.objectContaining({ kind: 'usage', message }));
    }
  });

  it('refuses a certificate that is no PDH', () => {
    const pdh = parseCertificate(fixture('sev-crate/naples/pek.cert'), 'pek');
    const message = 'pdh: is a PEK certificate, not a PDH';
    expect(() => createSession({ ...inputs, pdh }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'format', message }),
    );
  });

  it('refuses a PDH on the weaker curve', () => {
    const pdh = parseCertificate(sevCertificate(USAGE.pdh, ECDH_SHA256, ecKey('P-256'), []), 'pdh');
    const message = 'pdh: its key is not on P-384';
    expect(() => createSession({ ...inputs, pdh }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'format', message }),
    );
  });

  it('refuses a PDH that is no point of the curve: an invalid-curve attack on the ephemeral key', () => {
    const bytes = inputs.pdh.bytes.slice();
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    const pdh = parseCertificate(bytes, 'pdh');
    expect(() => createSession({ ...inputs, pdh }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'format', message: expect.stringContaining('no point of P-384') }),
    );
  });

  it.each([
    ['zero', new Uint8Array(48)],
    ['the order of the curve or more', new Uint8Array(48).fill(0xff)],
    ['47 bytes', new Uint8Array(47).fill(1)],
  ])('refuses an ephemeral key of %s', (_, ephemeralKey) => {
    expect(() => createSession({ ...inputs, ephemeralKey }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'key', message: expect.stringContaining('not a private key of P-384') }),
    );
  });

  it('leaves its inputs alone and wipes the shared secret', () => {
    const before = [inputs.tek, inputs.tik, inputs.ephemeralKey].map(bytesToHex);
    const shared: Uint8Array[] = [];
    const watching = {
      ...nodePublicKey,
      agree: (...args: Parameters<typeof nodePublicKey.agree>) => {
        const secret = nodePublicKey.agree(...args);
        shared.push(secret);
        return secret;
      },
    };
    const { session, godh } = createSession(inputs, watching);
    expect([inputs.tek, inputs.tik, inputs.ephemeralKey].map(bytesToHex)).toEqual(before);
    const platform = { session, godh, pdhKey: forgedPlatform().pdhKey, policy: inputs.policy };
    expect(() => openSession(platform, watching)).toThrow();
    expect(shared).toEqual([new Uint8Array(48), new Uint8Array(48)]);
  });
});

describe('openSession', () => {
  const { chain, pdhKey } = forgedPlatform();
  const keys = { tek: new Uint8Array(16).fill(3), tik: new Uint8Array(16).fill(4) };
  const made = createSession(
    {
      pdh: parseCertificate(chain.pdh, 'pdh'),
      ephemeralKey: new Uint8Array(48).fill(5),
      nonce: new Uint8Array(16).fill(6),
      iv: new Uint8Array(16).fill(0xff),
      policy: 0x01000003,
      ...keys,
    },
    nodePublicKey,
  );
  const open = { ...made, pdhKey, policy: 0x01000003 };

  it('returns what was wrapped', () => {
    expect(openSession(open, nodePublicKey)).toEqual(keys);
  });

  it('refuses another policy than the owner bound', () => {
    const message = 'session: it was made for another policy';
    expect(() => openSession({ ...open, policy: 2 }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'mismatch', message }),
    );
  });

  it("refuses on another machine, whose key is not the PDH's", () => {
    expect(() => openSession({ ...open, pdhKey: new Uint8Array(48).fill(9) }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'mismatch', message: expect.stringContaining('not wrapped for this platform') }),
    );
  });

  it('refuses a session with any byte changed', () => {
    for (let i = 0; i < SESSION_SIZE; i++) {
      const session = made.session.slice();
      session[i] = (session[i] ?? 0) ^ 0x80;
      expect(() => openSession({ ...open, session }, nodePublicKey), `byte ${i}`).toThrow(
        expect.objectContaining({ kind: 'mismatch' }),
      );
    }
  });

  it.each([0, 127, 129])('refuses a session of %i bytes', (size) => {
    const message = `session: needs 128 bytes, got ${size}`;
    expect(() => openSession({ ...open, session: new Uint8Array(size) }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'format', message }),
    );
  });

  it('refuses a GODH that is cut short', () => {
    const message = 'godh: an SEV certificate has 2084 bytes, this has 2083';
    expect(() => openSession({ ...open, godh: made.godh.slice(1) }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'format', message }),
    );
  });

  it('refuses a GODH that is another certificate', () => {
    const godh = sevCertificate(USAGE.pek, ECDSA_SHA256, ecKey(), []);
    expect(() => openSession({ ...open, godh }, nodePublicKey)).toThrow(
      expect.objectContaining({ kind: 'format', message: 'godh: is a PEK certificate, not a PDH' }),
    );
  });
});
