import { describe, expect, it } from 'vitest';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { corimForTrustee } from '../../../src/core/reference/corim.ts';
import { goSevGuestPolicy } from '../../../src/core/reference/go-sev-guest.ts';
import { rvpsCorimMessage, rvpsMessage, rvpsTdxMessage } from '../../../src/core/reference/rvps.ts';

const [ONE, TWO] = [new Uint8Array(48).fill(0x1f), new Uint8Array(48).fill(0xe2)];

describe('reference values', () => {
  it('for Trustee are a message whose payload names what its default policy asks for', () => {
    const { version, type, payload, ...rest } = JSON.parse(rvpsMessage([ONE, TWO]));
    expect({ version, type, rest }).toEqual({ version: '0.1.0', type: 'sample', rest: {} });
    expect(JSON.parse(Buffer.from(payload, 'base64').toString())).toEqual({
      snp_launch_measurement: ['1f'.repeat(48), 'e2'.repeat(48)],
    });
  });

  it('for Trustee of a TDX guest have the names of its default policy, as far as they are known', () => {
    const payloadOf = (text: string) => JSON.parse(Buffer.from(JSON.parse(text).payload, 'base64').toString());
    expect(payloadOf(rvpsTdxMessage({ mr_td: ONE }))).toEqual({ mr_td: ['1f'.repeat(48)] });
    expect(payloadOf(rvpsTdxMessage({ mr_td: ONE, rtmr_1: undefined, rtmr_2: TWO }))).toEqual({
      mr_td: ['1f'.repeat(48)],
      rtmr_2: ['e2'.repeat(48)],
    });
    // Lists but for the digests of events, which the policy compares with `==`.
    expect(payloadOf(rvpsTdxMessage({ mr_td: ONE, tdvfkernel: TWO, tdvfkernelparams: ONE }))).toEqual({
      mr_td: ['1f'.repeat(48)],
      tdvfkernel: 'e2'.repeat(48),
      tdvfkernelparams: '1f'.repeat(48),
    });
  });

  it('for Trustee as a CoRIM are the bytes of the one that it can read whole', () => {
    const { version, type, payload } = JSON.parse(rvpsCorimMessage([ONE, TWO], nobleHashes));
    expect([version, type]).toEqual(['0.1.0', 'corim']);
    expect(Buffer.from(payload, 'base64')).toEqual(Buffer.from(corimForTrustee([ONE, TWO], nobleHashes)));
  });

  it('for go-sev-guest are a text that protocol buffers read', () => {
    expect(goSevGuestPolicy(ONE, 0x30000n)).toBe(
      `policy {\n  policy: 0x30000\n  measurement: "${'\\x1f'.repeat(48)}"\n}\n`,
    );
  });
});
