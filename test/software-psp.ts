/**
 * @module The platform's side of a launch, from node:crypto alone and none of the code under test: LAUNCH_START, LAUNCH_MEASURE
 * and LAUNCH_SECRET as AMD's firmware does them (amd/AMD-ASPFW fw/psp_bl_uapps/sev_uapp/src/sev_channel.c and kdf.c).
 */
import * as crypto from 'node:crypto';

/** The transport keys, as the platform learns them. */
export interface Channel {
  readonly tek: Buffer;
  readonly tik: Buffer;
}

const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]) =>
  crypto.createHmac('sha256', key).update(Buffer.concat(parts)).digest();

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

const derive = (key: Uint8Array, label: string, context = Buffer.alloc(0)) =>
  hmac(key, u32(1), Buffer.from(label), Buffer.of(0), context, u32(128)).subarray(0, 16);

/** LAUNCH_START with the base64 texts that QEMU is given; throws as the firmware refuses. */
export function launchStart(godhText: string, sessionText: string, policy: number, pdhKey: Uint8Array): Channel {
  const godh = Buffer.from(godhText, 'base64');
  const session = Buffer.from(sessionText, 'base64');
  if (godh.length !== 2084 || session.length !== 128) throw new Error('INVALID_LENGTH');
  const header = [godh.readUInt32LE(0), godh.readUInt32LE(8), godh.readUInt32LE(12), godh.readUInt32LE(16)];
  if (header.join() !== [1, 0x1003, 0x003, 2].join()) throw new Error('INVALID_CERTIFICATE');
  const coordinate = (at: number) => Buffer.from(godh.subarray(at, at + 48)).reverse();
  const ecdh = crypto.createECDH('secp384r1');
  ecdh.setPrivateKey(pdhKey);
  const shared = ecdh.computeSecret(Buffer.concat([Buffer.of(4), coordinate(20), coordinate(92)]));

  const [nonce, wrapTk, wrapIv] = [session.subarray(0, 16), session.subarray(16, 48), session.subarray(48, 64)];
  const master = derive(shared, 'sev-master-secret', nonce);
  if (!hmac(derive(master, 'sev-kik'), wrapTk).equals(session.subarray(64, 96))) throw new Error('BAD_MEASUREMENT');
  const keys = crypto.createDecipheriv('aes-128-ctr', derive(master, 'sev-kek'), wrapIv).update(wrapTk);
  const channel = { tek: keys.subarray(0, 16), tik: keys.subarray(16) };
  if (!hmac(channel.tik, u32(policy)).equals(session.subarray(96))) throw new Error('BAD_MEASUREMENT');
  return channel;
}

/** LAUNCH_MEASURE: returns the 48 bytes in base64. */
export function launchMeasure(channel: Channel, api: readonly number[], policy: number, digest: string): string {
  const nonce = crypto.randomBytes(16);
  const measure = hmac(channel.tik, Buffer.of(0x04, ...api), u32(policy), Buffer.from(digest, 'hex'), nonce);
  return Buffer.concat([measure, nonce]).toString('base64');
}

/** LAUNCH_SECRET: returns what would be written into guest memory; throws as the firmware refuses. */
export function launchSecret(channel: Channel, header: Uint8Array, payload: Uint8Array, measurement: string): Buffer {
  const [flags, iv, mac] = [header.slice(0, 4), header.slice(4, 20), header.slice(20)];
  const measure = Buffer.from(measurement, 'base64').subarray(0, 32);
  const length = u32(payload.length);
  const expected = hmac(channel.tik, Buffer.of(0x01), flags, iv, length, length, payload, measure);
  if (!expected.equals(mac)) throw new Error('BAD_MEASUREMENT');
  return crypto.createDecipheriv('aes-128-ctr', channel.tek, iv).update(payload);
}
