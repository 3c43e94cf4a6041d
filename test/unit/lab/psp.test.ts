import * as crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseCertificate } from '../../../src/core/session/certificate.ts';
import { createSession } from '../../../src/core/session/session.ts';
import { nodePublicKey } from '../../../src/host/public-key.ts';
import { hmac, u32 } from '../../../src/lab/psp/channel.ts';
import { PspGuest } from '../../../src/lab/psp/guest.ts';
import type { LabPlatform } from '../../../src/lab/psp/platform.ts';
import { FirmwareError } from '../../../src/lab/psp/status.ts';
import { forgedPlatform } from '../../platform.ts';

const { chain, keys, pdhKey } = forgedPlatform();
const PLATFORM: LabPlatform = {
  chain,
  pdhKey,
  api: { major: 1, minor: 55, build: 24 },
  signWithPek: (message) => crypto.sign('sha256', message, { key: keys.pek, dsaEncoding: 'ieee-p1363' }),
};
const TEK = Buffer.alloc(16, 0x11);
const TIK = Buffer.alloc(16, 0x22);
const PAGE = Buffer.alloc(4096, 7);

const owner = (policy: number) =>
  createSession(
    {
      pdh: parseCertificate(chain.pdh, 'pdh'),
      ephemeralKey: new Uint8Array(48).fill(3),
      tek: TEK,
      tik: TIK,
      nonce: new Uint8Array(16).fill(4),
      iv: new Uint8Array(16).fill(5),
      policy,
    },
    nodePublicKey,
  );

const written: [number, string][] = [];
function started(policy: number): PspGuest {
  written.length = 0;
  const guest = new PspGuest(PLATFORM, {
    write: (gpa, bytes) => void written.push([gpa, Buffer.from(bytes).toString('latin1')]),
  });
  guest.launchStart(policy, owner(policy));
  return guest;
}

/** A guest in LSECRET, and its measure. */
function measured(): { guest: PspGuest; measure: Uint8Array } {
  const guest = started(1);
  guest.launchUpdateData(0, PAGE);
  return { guest, measure: guest.launchMeasure().blob.subarray(0, 32) };
}

function packet(payload: Uint8Array, measure: Uint8Array, flags = 0) {
  const iv = Buffer.alloc(16, 9);
  const encrypted = crypto.createCipheriv('aes-128-ctr', TEK, iv).update(payload);
  const length = u32(payload.length);
  const mac = hmac(TIK, Buffer.of(1), u32(flags), iv, length, length, encrypted, measure);
  return [Buffer.concat([u32(flags), iv, mac]), encrypted] as const;
}

/** The status that the firmware answers. */
function status(command: () => unknown): string {
  try {
    command();
    return 'SUCCESS';
  } catch (error) {
    if (!(error instanceof FirmwareError)) throw error;
    return error.status;
  }
}

describe('status', () => {
  it.each([
    ['INVALID_GUEST_STATE', 2, 'Guest state is invalid'],
    ['INVALID_LENGTH', 4, 'Buffer too small'],
    ['BAD_MEASUREMENT', 11, 'Bad measurement'],
    ['UNSUPPORTED', 21, 'Feature not supported'],
    ['INVALID_PARAM', 22, 'Invalid parameter'],
  ] as const)("%s is %i, in QEMU's words %s", (name, code, words) => {
    expect(new FirmwareError('X', name)).toMatchObject({ code, words, message: `X: ${name}` });
  });
});

describe('LAUNCH_START', () => {
  it('refuses each part of a session that was changed, another policy and another length', () => {
    const { godh, session } = owner(1);
    const start = (parts: { godh?: Uint8Array; session?: Uint8Array; policy?: number }) =>
      status(() =>
        new PspGuest(PLATFORM, { write() {} }).launchStart(parts.policy ?? 1, {
          godh: parts.godh ?? godh,
          session: parts.session ?? session,
        }),
      );
    const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
    expect(start({})).toBe('SUCCESS');
    for (const at of [0, 16, 48, 64, 96])
      expect(start({ session: flipped(session, at) }), `${at}`).toBe('BAD_MEASUREMENT');
    for (const at of [0, 8, 12, 16, 20])
      expect(start({ godh: flipped(godh, at) }), `${at}`).toBe('INVALID_CERTIFICATE');
    expect(start({ session: session.subarray(1) })).toBe('INVALID_LENGTH');
    expect(start({ godh: godh.subarray(1) })).toBe('INVALID_LENGTH');
    expect(start({ policy: 0 })).toBe('BAD_MEASUREMENT');
  });

  it.each([
    [0x40, 'POLICY_FAILURE'],
    [0x8000, 'POLICY_FAILURE'],
    [0x3f, 'SUCCESS'],
    [(55 << 24) | (1 << 16), 'SUCCESS'],
    [(56 << 24) | (1 << 16), 'POLICY_FAILURE'],
    [(255 << 24) | (0 << 16), 'SUCCESS'],
    [(0 << 24) | (2 << 16), 'POLICY_FAILURE'],
  ])('policy 0x%x: %s', (policy, expected) => {
    expect(status(() => started(policy >>> 0))).toBe(expected);
  });

  it('happens once', () => {
    const guest = started(1);
    expect(status(() => guest.launchStart(1, owner(1)))).toBe('INVALID_GUEST_STATE');
  });

  it('needs no owner: then the transport keys are zeros', () => {
    const guest = new PspGuest(PLATFORM, { write() {} });
    guest.launchStart(1, undefined);
    guest.launchUpdateData(0, PAGE);
    const { digest, blob } = guest.launchMeasure();
    const message = [Buffer.of(4, 1, 55, 24), u32(1), digest, blob.subarray(32)];
    expect(hmac(Buffer.alloc(16), ...message).equals(blob.subarray(0, 32))).toBe(true);
  });
});

describe('LAUNCH_UPDATE_DATA and LAUNCH_UPDATE_VMSA', () => {
  it('measure what they are given, in order', () => {
    const guest = started(5);
    guest.launchUpdateData(16, Buffer.from('0123456789abcdef'));
    guest.launchUpdateVmsa(PAGE);
    const { digest, blob } = guest.launchMeasure();
    const expected = crypto.createHash('sha256').update('0123456789abcdef').update(PAGE).digest();
    expect(expected.equals(digest)).toBe(true);
    const message = [Buffer.of(4, 1, 55, 24), u32(5), expected, blob.subarray(32)];
    expect(hmac(TIK, ...message).equals(blob.subarray(0, 32))).toBe(true);
    expect(guest).toMatchObject({ state: 'launch-secret', policy: 5 });
  });

  it('refuse what the firmware refuses', () => {
    const guest = started(1);
    expect(status(() => guest.launchUpdateData(8, PAGE))).toBe('INVALID_ADDRESS');
    expect(status(() => guest.launchUpdateData(0, PAGE.subarray(1)))).toBe('INVALID_LENGTH');
    expect(status(() => guest.launchUpdateData(0, PAGE.subarray(0, 0)))).toBe('INVALID_LENGTH');
    expect(status(() => guest.launchUpdateVmsa(PAGE))).toBe('UNSUPPORTED');
    expect(status(() => guest.launchUpdateVmsa(PAGE.subarray(16)))).toBe('INVALID_LENGTH');
    guest.launchMeasure();
    expect(status(() => guest.launchUpdateData(0, PAGE))).toBe('INVALID_GUEST_STATE');
    expect(status(() => guest.launchUpdateVmsa(PAGE))).toBe('INVALID_GUEST_STATE');
    expect(status(() => guest.launchMeasure())).toBe('INVALID_GUEST_STATE');
  });
});

describe('LAUNCH_SECRET', () => {
  it('writes the secret where the host says, as often as it says, until the guest runs', () => {
    const { guest, measure } = measured();
    const sealed = packet(Buffer.from('sixteen letters!'), measure);
    guest.launchSecret(...sealed, 0x810000);
    guest.launchSecret(...sealed, 0x7000);
    expect(written).toEqual([
      [0x810000, 'sixteen letters!'],
      [0x7000, 'sixteen letters!'],
    ]);
    guest.launchFinish();
    expect(guest.state).toBe('running');
    expect(status(() => guest.launchSecret(...sealed, 0x810000))).toBe('INVALID_GUEST_STATE');
    expect(status(() => guest.launchFinish())).toBe('INVALID_GUEST_STATE');
  });

  it('refuses what the firmware refuses, and writes nothing then', () => {
    const { guest, measure } = measured();
    const [header, payload] = packet(Buffer.from('sixteen letters!'), measure);
    const changed = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 0x80 : byte));
    const secret = (h: Uint8Array, p: Uint8Array, gpa = 0) => status(() => guest.launchSecret(h, p, gpa));
    expect(secret(header, payload, 8)).toBe('INVALID_ADDRESS');
    expect(secret(header.subarray(1), payload)).toBe('INVALID_LENGTH');
    expect(secret(header, payload.subarray(1))).toBe('INVALID_LENGTH');
    expect(secret(header, payload.subarray(16))).toBe('INVALID_LENGTH');
    expect(secret(header, new Uint8Array(0x4010))).toBe('INVALID_LENGTH');
    expect(secret(header, new Uint8Array(0x4000))).toBe('BAD_MEASUREMENT');
    for (const at of [0, 4, 20, 51]) expect(secret(changed(header, at), payload), `${at}`).toBe('BAD_MEASUREMENT');
    expect(secret(header, changed(payload, 0))).toBe('BAD_MEASUREMENT');
    expect(secret(...packet(Buffer.alloc(16), measure, 1))).toBe('UNSUPPORTED');
    expect(secret(...packet(Buffer.alloc(16), Buffer.alloc(32)))).toBe('BAD_MEASUREMENT');
    expect(secret(...packet(Buffer.alloc(16), new Uint8Array()))).toBe('BAD_MEASUREMENT');
    expect(written).toEqual([]);
  });

  it('needs a measurement first', () => {
    const guest = started(1);
    expect(status(() => guest.launchSecret(...packet(Buffer.alloc(16), Buffer.alloc(32)), 0))).toBe(
      'INVALID_GUEST_STATE',
    );
    expect(status(() => guest.launchFinish())).toBe('INVALID_GUEST_STATE');
  });
});

describe('ATTESTATION', () => {
  it('is signed by the PEK, also after the start of the guest', () => {
    const { guest } = measured();
    guest.launchFinish();
    const report = Buffer.from(guest.attestation(Buffer.alloc(16, 6)));
    expect(report).toHaveLength(208);
    const digest = crypto.createHash('sha256').update(PAGE).digest('hex');
    expect(report.subarray(0, 52).toString('hex')).toBe(`${'06'.repeat(16)}${digest}01000000`);
    expect(report.subarray(52, 64).toString('hex')).toBe('021000000200000000000000');
    const half = (at: number) => Buffer.from(report.subarray(at, at + 48)).reverse();
    const signature = Buffer.concat([half(64), half(136)]);
    const key = { key: crypto.createPublicKey(keys.pek), dsaEncoding: 'ieee-p1363' } as const;
    expect(crypto.verify('sha256', report.subarray(0, 52), key, signature)).toBe(true);
  });

  it('needs a measurement', () => {
    expect(status(() => started(1).attestation(Buffer.alloc(16)))).toBe('INVALID_GUEST_STATE');
  });
});
