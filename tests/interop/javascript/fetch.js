// imapflow: prints the first message of the inbox.
//
// usage: node fetch.js MODULES HOST PORT plain|starttls|implicit CA_FILE USER PASSWORD_FILE

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [modules, host, port, tls, caFile, user, passwordFile] = process.argv.slice(2);
const { ImapFlow } = createRequire(`${modules}/package.json`)('imapflow');

const client = new ImapFlow({
  host,
  port: Number(port),
  secure: tls === 'implicit',
  doSTARTTLS: tls === 'implicit' ? undefined : tls === 'starttls',
  tls: { ca: readFileSync(caFile) },
  auth: { user, pass: readFileSync(passwordFile, 'utf8').trimEnd() },
  logger: false,
});
await client.connect();
const lock = await client.getMailboxLock('INBOX');
try {
  const { source } = await client.fetchOne('1', { source: true });
  process.stdout.write(source);
} finally {
  lock.release();
}
await client.logout();
