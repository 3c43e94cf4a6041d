import { describe, expect, it } from 'vitest';
import { payloadSize } from '../../../src/core/disk/payload-size.ts';

function ext4(over: { blocks?: number; high?: number; log?: number; incompatible?: number } = {}): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt32LE(over.blocks ?? 100, 1024 + 4);
  bytes.writeUInt32LE(over.log ?? 2, 1024 + 24);
  bytes.writeUInt16LE(0xef53, 1024 + 56);
  bytes.writeUInt32LE(over.incompatible ?? 0, 1024 + 96);
  bytes.writeUInt32LE(over.high ?? 0, 1024 + 0x150);
  return bytes;
}

function erofs(blocks: number, log = 12): Buffer {
  const bytes = Buffer.alloc(2048);
  bytes.writeUInt32LE(0xe0f5e1e2, 1024);
  bytes.writeUInt8(log, 1024 + 12);
  bytes.writeUInt32LE(blocks, 1024 + 36);
  return bytes;
}

describe('payloadSize', () => {
  it('is what ext4 says, with the upper half only where there is one', () => {
    expect(payloadSize(ext4())).toBe(409_600);
    expect(payloadSize(ext4({ log: 0 }))).toBe(102_400);
    expect(payloadSize(ext4({ log: 6 }))).toBe(6_553_600);
    expect(payloadSize(ext4({ high: 1 }))).toBe(409_600);
    expect(payloadSize(ext4({ high: 1, incompatible: 0x80 }))).toBe((2 ** 32 + 100) * 4096);
    expect(payloadSize(ext4({ high: 1, incompatible: 0x40 }))).toBe(409_600);
  });

  it('is what EROFS says', () => {
    expect(payloadSize(erofs(3))).toBe(12_288);
    expect(payloadSize(erofs(3, 9))).toBe(1536);
    expect(payloadSize(erofs(1, 16))).toBe(65_536);
  });

  it('is unknown for all else, and for what cannot be', () => {
    expect(payloadSize(Buffer.alloc(4096))).toBeUndefined();
    expect(payloadSize(ext4({ log: 7 }))).toBeUndefined();
    expect(payloadSize(ext4({ blocks: 0 }))).toBeUndefined();
    expect(payloadSize(ext4({ high: 0xffffffff, incompatible: 0x80 }))).toBeUndefined();
    expect(payloadSize(erofs(1, 17))).toBeUndefined();
    expect(payloadSize(ext4().subarray(0, 1024 + 0x153))).toBeUndefined();
    expect(payloadSize(ext4().subarray(0, 1024 + 0x154))).toBe(409_600);
    expect(payloadSize(Buffer.alloc(0))).toBeUndefined();
  });
});
