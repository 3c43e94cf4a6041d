/** @module What a walk through a built image tells, or why it stops: for the tests of volumes and of what is in them. */
import { expect } from 'vitest';
import { walkFirmware } from '../../../src/core/firmware/contents.ts';
import { failure } from '../../failure.ts';
import { section } from '../../firmware-image.ts';

/** A GUID that nothing else has. */
export const OTHER = 'ffeeddcc-bbaa-9988-7766-554433221100';
/** ASCII as bytes. */
export const text = (ascii: string) => Uint8Array.from(Buffer.from(ascii));
/** A section that holds nothing further. */
export const LEAF = section(0x19, text('leaf'));

/** What a walk tells, in order. */
export function walked(image: Uint8Array): string[] {
  const told: string[] = [];
  walkFirmware(image, {
    volume: ({ at, content }) => void told.push(`volume ${at} ${content.length}`),
    file: (name, type) => void told.push(`file ${name.slice(0, 4)} ${type}`),
    leaf: (name, { type, body }) =>
      void told.push(`leaf ${name.slice(0, 4)} ${type} ${Buffer.from(body).toString('latin1')}`),
    plain: (bytes) => void told.push(`plain ${bytes.length}`),
  });
  return told;
}

/** The message with which a walk refuses an image as badly formed. */
export const message = (image: Uint8Array): string => {
  const error = failure(() => walked(image));
  expect(error.kind).toBe('format');
  return error.message;
};
