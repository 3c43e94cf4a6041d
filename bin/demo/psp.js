// Stands in for AMD's secure processor in the demo: there is none here.
'use strict';
const { createHmac, randomBytes } = require('node:crypto');

const API = { major: 1, minor: 55, build: 24 };

/**
 * Returns the 48 bytes that LAUNCH_MEASURE answers (SEV API 55766, 6.5) for a launch with this digest. A real PSP has worked out
 * the keys by itself, from the session that only it can read, and the digest from what the host really loaded.
 */
function answerOfPsp({ tk, policy, digest }) {
  const nonce = randomBytes(16);
  const policyBytes = Buffer.alloc(4);
  policyBytes.writeUInt32LE(policy);
  const measure = createHmac('sha256', tk.subarray(16, 32))
    .update(Buffer.of(0x04, API.major, API.minor, API.build))
    .update(policyBytes)
    .update(Buffer.from(digest, 'hex'))
    .update(nonce)
    .digest();
  return Buffer.concat([measure, nonce]);
}

module.exports = { answerOfPsp };
