import { describe, expect, it } from 'vitest';
import { base64ToBytes } from '../../../src/core/base64.ts';
import { injectSecretCommand, packetTexts } from '../../../src/core/secret/packet-forms.ts';
import { vectors } from '../../fixtures.ts';

const { secret_packets: packets } = vectors<{
  secret_packets: { id: string; header_b64: string; payload_b64: string | null }[];
}>('secret.json');

describe('the forms of a packet', () => {
  const known = packets.flatMap(({ id, header_b64, payload_b64 }) =>
    payload_b64 === null ? [] : [{ id, header_b64, payload_b64 }],
  );

  it('has known answers', () => expect(known.length).toBeGreaterThan(3));

  it.each(known)(
    '$id: the texts are those that its authors give to QEMU and libvirt',
    ({ header_b64, payload_b64 }) => {
      const packet = { header: base64ToBytes(header_b64), payload: base64ToBytes(payload_b64) };
      expect(packetTexts(packet)).toEqual({ header: header_b64, secret: payload_b64 });
    },
  );

  it("are QEMU's command, with the address where one is given (QEMU docs/interop/qemu-qmp-ref, sev-inject-launch-secret)", () => {
    const texts = { header: 'AAAA', secret: 'BBBB' };
    expect(JSON.stringify(injectSecretCommand(texts, 0x810000))).toBe(
      '{"execute":"sev-inject-launch-secret","arguments":{"packet-header":"AAAA","secret":"BBBB","gpa":8454144}}',
    );
    expect(JSON.stringify(injectSecretCommand(texts, undefined))).toBe(
      '{"execute":"sev-inject-launch-secret","arguments":{"packet-header":"AAAA","secret":"BBBB"}}',
    );
  });
});
