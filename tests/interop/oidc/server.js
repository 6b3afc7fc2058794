// A real OpenID provider (npm `oidc-provider`) for the interop suite: refresh tokens rotate at each
// use, and the reuse of an old one ends the whole grant (RFC 9700 section 4.14.2).
//
// usage: node server.js MODULES TOKEN_LIFE_S
//
// MODULES is the directory whose node_modules holds oidc-provider. Prints one line of JSON once it
// serves, on a free port of 127.0.0.1. People consent by `POST /consents?user=NAME&client=ID`, which
// stands for the browser and answers with their first refresh token.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [modules, tokenLife] = process.argv.slice(2);
const tokenLifeS = Number(tokenLife);
if (!modules || !Number.isInteger(tokenLifeS)) {
  console.error('usage: node server.js MODULES TOKEN_LIFE_S');
  process.exit(64);
}
const entry = createRequire(`${modules}/package.json`).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(entry));

const KEY_ID = randomUUID();
const RESOURCE = 'https://mail.interop.test';
const SCOPES = ['openid', 'offline_access', 'mail'];
const PUBLIC_CLIENT = 'public-client';
const CONFIDENTIAL_CLIENT = { id: 'confidential-client', secret: 'interop-secret-of-oidc' };

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const client = {
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://localhost'],
  application_type: 'native',
};

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    { ...client, client_id: PUBLIC_CLIENT, token_endpoint_auth_method: 'none' },
    {
      ...client,
      client_id: CONFIDENTIAL_CLIENT.id,
      client_secret: CONFIDENTIAL_CLIENT.secret,
      token_endpoint_auth_method: 'client_secret_post',
    },
  ],
  jwks: {
    keys: [{ ...privateKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' }],
  },
  scopes: SCOPES,
  rotateRefreshToken: true,
  ttl: { AccessToken: tokenLifeS, IdToken: tokenLifeS, RefreshToken: 86400, Grant: 86400 },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id }),
  }),
  claims: { openid: ['sub', 'preferred_username'] },
  conformIdTokenClaims: false,
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'mail',
        audience: RESOURCE,
        accessTokenTTL: tokenLifeS,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256', kid: KEY_ID } },
      }),
    },
  },
  formats: {
    customizers: {
      // Dovecot 2.3 knows the type of RFC 7519 alone, not `at+jwt`, which is RFC 9068's.
      jwt: (_ctx, _token, jwt) => {
        jwt.header = { typ: 'JWT' };
      },
    },
  },
});

// What came of the requests: in all, and of each user when tokens were ready, in seconds since 1970.
const figures = { refreshes: 0, reuses: 0, refused: 0, revoked: 0, users: {} };

provider.on('grant.success', (ctx) => {
  const { accountId } = ctx.oidc.entities.Account;
  const times = (figures.users[accountId] ??= []);
  figures.refreshes += 1;
  times.push((performance.timeOrigin + performance.now()) / 1000);
});
provider.on('grant.error', (_ctx, error) => {
  figures.refused += 1;
  if (error.error_detail === 'refresh token already used') figures.reuses += 1;
  console.error(`${new Date().toISOString()} ${error.error}: ${error.error_detail}`);
});
provider.on('grant.revoked', () => {
  figures.revoked += 1;
});
provider.on('server_error', (_ctx, error) => console.error(error));

async function consent(accountId, clientId) {
  const found = await provider.Client.find(clientId);
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(RESOURCE, 'mail');
  const token = new provider.RefreshToken({
    accountId,
    client: found,
    grantId: await grant.save(),
    gty: 'authorization_code',
    resource: RESOURCE,
    rotations: 0,
    scope: SCOPES.join(' '),
    expiresWithSession: false,
    authTime: Math.floor(Date.now() / 1000),
  });
  return token.save();
}

provider.use(async (ctx, next) => {
  switch (`${ctx.method} ${ctx.path}`) {
    case 'POST /consents':
      ctx.body = { refresh_token: await consent(ctx.query.user, ctx.query.client) };
      break;
    case 'GET /figures':
      ctx.body = figures;
      break;
    default:
      await next();
  }
});

server.on('request', provider.callback());
console.log(
  JSON.stringify({
    issuer,
    token_endpoint: `${issuer}/token`,
    revocation_endpoint: `${issuer}/token/revocation`,
    scopes: SCOPES,
    public_client: PUBLIC_CLIENT,
    client_id: CONFIDENTIAL_CLIENT.id,
    client_secret: CONFIDENTIAL_CLIENT.secret,
    kid: KEY_ID,
    public_key_pem: publicKey.export({ format: 'pem', type: 'spki' }),
  }),
);
