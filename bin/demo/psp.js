// Stands in for AMD's secure processor where there is none: `node bin/demo/psp.js FOLDER [changed]` answers for the session in
// FOLDER as a processor would after the launch that its record expects, or after one that the host has changed.
'use strict';
const { createHmac, randomBytes } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

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

/** Returns the answer for the session in `folder`; with `changed` the digest is that of something else. */
function answerFor(folder, changed) {
  const record = JSON.parse(fs.readFileSync(path.join(folder, 'record.json'), 'utf8'));
  const digest = changed ? randomBytes(32).toString('hex') : record.expected[0].digest;
  return answerOfPsp({ tk: fs.readFileSync(path.join(folder, 'tk')), policy: record.policy, digest });
}

const [folder, changed] = process.argv.slice(2);
console.log(answerFor(folder, changed === 'changed').toString('base64'));
