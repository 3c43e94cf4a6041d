import { describe, expect, it } from 'vitest';
import {
  allowsDebugging,
  checkPolicyPlatform,
  describePolicy,
  minimumApi,
  parsePolicy,
  policyRisks,
} from '../../../src/core/session/policy.ts';
import { failure } from '../../failure.ts';

describe('parsePolicy', () => {
  it.each([
    ['nodbg', 0x1],
    ['noks', 0x2],
    ['es', 0x4],
    ['nosend', 0x8],
    ['domain', 0x10],
    ['sev', 0x20],
    ['NODBG,NoKS,es', 0x7],
    ['nodbg,nodbg', 0x1],
    ['5', 5],
    ['0', 0],
    ['0x3f', 0x3f],
    ['0X3F', 0x3f],
    ['0x11010001', 0x11010001],
    ['0xffff003f', 0xffff003f],
    ['4294901823', 0xffff003f],
  ])('reads %s', (text, policy) => {
    expect(parsePolicy(text)).toBe(policy);
  });

  it.each([
    '',
    'debug',
    'nodbg,',
    ' nodbg',
    'nodbg noks',
    '-1',
    '1.5',
    '0x',
    'toString',
    'constructor',
    '__proto__',
    'nodbg,__proto__',
    'valueof',
  ])('refuses %j as a flag it does not know', (text) => {
    expect(failure(() => parsePolicy(text))).toMatchObject({
      kind: 'usage',
      message: expect.stringContaining('unknown policy flag'),
      hint: 'use a number or flags out of: nodbg, noks, es, nosend, domain, sev',
    });
  });

  it.each([
    '4294967296',
    '0x100000000',
    '0X1FFFFFFFF',
    '0x123456789',
    '12345678901',
    '12345678901234567890',
    `0x${'f'.repeat(4000)}`,
  ])('refuses more than 32 bits: %.20s', (text) => {
    expect(failure(() => parsePolicy(text))).toMatchObject({
      kind: 'usage',
      message: `policy ${text.slice(0, 64)} does not fit in 32 bits`,
    });
  });

  it.each(['0x40', '0x8001', '0xffff'])('refuses the reserved bits of %s', (text) => {
    expect(failure(() => parsePolicy(text))).toMatchObject({
      kind: 'usage',
      message: `policy ${text} sets reserved bits`,
      hint: expect.stringContaining('bits 6-15'),
    });
  });
});

describe('describePolicy and minimumApi', () => {
  it.each([
    [0, 'none: the host may debug the guest', 0, 0],
    [0x3e, 'noks,es,nosend,domain,sev: the host may debug the guest', 0, 0],
    [1, 'nodbg', 0, 0],
    [0x3f, 'nodbg,noks,es,nosend,domain,sev', 0, 0],
    [0x11000003, 'nodbg,noks min-api=0.17', 0, 17],
    [0xff010000, 'none min-api=1.255: the host may debug the guest', 1, 255],
    [0x00010001, 'nodbg min-api=1.0', 1, 0],
  ])('%i is %s', (policy, text, major, minor) => {
    expect(describePolicy(policy)).toBe(text);
    expect(minimumApi(policy)).toEqual({ major, minor });
  });
});

describe('checkPolicyPlatform', () => {
  it('takes es for SEV-ES and nothing else', () => {
    expect(() => checkPolicyPlatform(0x5, 'sev-es')).not.toThrow();
    expect(() => checkPolicyPlatform(0x1, 'sev')).not.toThrow();
  });

  it.each([
    [0x5, 'sev', 'policy 0x5 is for sev-es, not for sev', 'leave out the flag es'],
    [0x3b, 'sev-es', 'policy 0x3b is for sev, not for sev-es', 'add the flag es'],
  ] as const)('refuses policy %i for %s', (policy, platform, message, hint) => {
    expect(failure(() => checkPolicyPlatform(policy, platform))).toEqual({
      kind: 'usage',
      message,
      hint: expect.stringContaining(hint),
    });
  });
});

describe('allowsDebugging and policyRisks', () => {
  it('go by nodbg', () => {
    expect(allowsDebugging(0x3e)).toBe(true);
    expect(allowsDebugging(0x01)).toBe(false);
  });

  it('name each flag that is missing', () => {
    const [noks, nosend] = [expect.stringContaining('(no flag noks)'), expect.stringContaining('(no flag nosend)')];
    expect(policyRisks(0x1)).toEqual([noks, nosend]);
    expect(policyRisks(0x3)).toEqual([nosend]);
    expect(policyRisks(0x9)).toEqual([noks]);
    expect(policyRisks(0xb)).toEqual([]);
    expect(policyRisks(0x13)).toEqual([nosend]);
  });
});
