import { describe, expect, it } from 'vitest';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import { deriveKey } from '../../../src/core/session/kdf.ts';
import { vectors } from '../../fixtures.ts';

interface KdfVector {
  readonly id: string;
  readonly inputs: {
    readonly key_hex: string;
    readonly context_hex: string;
    readonly label: string;
    readonly size: number;
  };
  readonly expected: { readonly hex: string };
}
const { groups } = vectors<{ groups: { kdf: KdfVector[] } }>('measurement.json');
const { session } = vectors<{
  session: { z: string; nonce: string; master: string; kek: string; kik: string }[];
}>('secret.json');

describe('deriveKey', () => {
  it.each(groups.kdf)('measurement.json kdf $id', ({ inputs, expected }) => {
    const key = deriveKey(hexToBytes(inputs.key_hex), inputs.label, hexToBytes(inputs.context_hex), inputs.size);
    expect(bytesToHex(key)).toBe(expected.hex);
  });

  it.each(session)('secret.json session: master secret, KEK and KIK', ({ z, nonce, master, kek, kik }) => {
    const none = new Uint8Array();
    expect(bytesToHex(deriveKey(hexToBytes(z), 'sev-master-secret', hexToBytes(nonce), 16))).toBe(master);
    expect(bytesToHex(deriveKey(hexToBytes(master), 'sev-kek', none, 16))).toBe(kek);
    expect(bytesToHex(deriveKey(hexToBytes(master), 'sev-kik', none, 16))).toBe(kik);
  });

  it('goes on with a second block beyond 32 bytes', () => {
    // python3: b"".join(hmac.new(bytes(16), struct.pack("<I", i)+b"label\0ctx"+struct.pack("<I", 8*40), "sha256").digest() for i in (1, 2))[:40]
    const long = deriveKey(new Uint8Array(16), 'label', new TextEncoder().encode('ctx'), 40);
    expect(bytesToHex(long)).toBe('e2bca8fb6f6cc8ccd6ae20e2ca509da601fe9a967a2109e579c46de9b573bbfd6803b51e03f156d0');
  });
});
