// nodemailer: submits the message on standard input.
//
// usage: node submit.js MODULES HOST PORT plain|starttls|implicit CA_FILE USER PASSWORD_FILE MAILBOX

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { buffer } from 'node:stream/consumers';

const [modules, host, port, tls, caFile, user, passwordFile, mailbox] = process.argv.slice(2);
const nodemailer = createRequire(`${modules}/package.json`)('nodemailer');

const transport = nodemailer.createTransport({
  host,
  port: Number(port),
  name: 'client.test',
  secure: tls === 'implicit',
  requireTLS: tls === 'starttls',
  ignoreTLS: tls === 'plain',
  tls: { ca: readFileSync(caFile) },
  auth: { user, pass: readFileSync(passwordFile, 'utf8').trimEnd() },
});
await transport.sendMail({
  envelope: { from: mailbox, to: [mailbox] },
  raw: await buffer(process.stdin),
});
// Its connection ends without QUIT, which leaves the process waiting until the server closes too.
process.exit();
