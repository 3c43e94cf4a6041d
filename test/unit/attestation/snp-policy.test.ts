import { describe, expect, it } from 'vitest';
import {
  describeSnpPolicy,
  parseSnpPolicy,
  snpPolicyProblem,
  snpPolicyRisks,
} from '../../../src/core/attestation/snp-policy.ts';
import { failure, HINT } from '../../failure.ts';

describe('an SNP policy', () => {
  it.each([
    ['smt', 0x30000n, 'smt'],
    ['0x30000', 0x30000n, 'smt'],
    ['196608', 0x30000n, 'smt'],
    ['none', 0x20000n, 'none'],
    ['SMT,debug', 0xb0000n, 'smt,debug'],
    ['migrate-ma,single-socket,cxl', 0x360000n, 'migrate-ma,single-socket,cxl'],
    [
      'aes-256-xts,rapl-dis,ciphertext-hiding,page-swap-disable',
      0x3c20000n,
      'aes-256-xts,rapl-dis,ciphertext-hiding,page-swap-disable',
    ],
    ['0x20137', 0x20137n, 'none min-abi=1.55'],
    ['0x20001', 0x20001n, 'none min-abi=0.1'],
  ])('%s', (text, policy, words) => {
    expect(parseSnpPolicy(text)).toBe(policy);
    expect(describeSnpPolicy(policy)).toBe(words);
  });

  it.each([
    ['0x10000', 'policy 0x10000: bit 17 must be one'],
    ['0x4020000', 'policy 0x4020000: bits 26-63 must be zero'],
    ['0', 'policy 0: bit 17 must be one'],
    ['99999999999999999999', 'policy 99999999999999999999: bits 26-63 must be zero'],
    ['0x10000000000030000', 'unknown SNP policy flag "0x10000000000030000"'],
    ['smt,', 'unknown SNP policy flag ""'],
    ['', 'unknown SNP policy flag ""'],
    ['nodbg', 'unknown SNP policy flag "nodbg"'],
    ['toString', 'unknown SNP policy flag "tostring"'],
  ])('is not %j', (text, message) => {
    expect(failure(() => parseSnpPolicy(text))).toEqual({ kind: 'usage', message, hint: HINT });
  });

  it('has bits that no platform takes', () => {
    expect(snpPolicyProblem(0x20000n)).toBeUndefined();
    expect(snpPolicyProblem(0x3ffffffn)).toBeUndefined();
    expect(snpPolicyProblem(-1n)).toBe('bits 26-63 must be zero');
  });

  it('names what the host may do', () => {
    expect(snpPolicyRisks(parseSnpPolicy('smt'))).toEqual([]);
    expect(snpPolicyRisks(parseSnpPolicy('debug,migrate-ma'))).toEqual([
      "the host may read and change the guest's memory (flag debug)",
      'the host may give the guest a migration agent, which can move it (flag migrate-ma)',
    ]);
  });
});
