// A real OpenID provider (npm `oidc-provider`) for the interop suite: people consent by a browser
// or by a device code, applications show a secret or sign an assertion. PKCE is required, refresh
// tokens rotate at each use, and the reuse of an old one ends the whole grant (RFC 9700 section
// 4.14.2).
//
// usage: node server.js MODULES TOKEN_LIFE_S
//
// MODULES is the directory whose node_modules holds oidc-provider. Prints one line of JSON once it
// serves, on a free port of 127.0.0.1. Besides what `/.well-known/openid-configuration` names:
//
//   POST /consents?user=NAME&client=ID  stands for a browser; gives a first refresh token
//   POST /clients                       registers a client: its metadata as JSON
//   GET  /figures                       what came of the token requests
//   GET  /requests?client=ID            the client's token requests, the oldest first, with the
//                                       refresh tokens that they got
//   GET  /revocations                   the tokens that were given back

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

import { device, interact } from './pages.js';

const [modules, tokenLife] = process.argv.slice(2);
const tokenLifeS = Number(tokenLife);
if (!modules || !Number.isInteger(tokenLifeS)) {
  console.error('usage: node server.js MODULES TOKEN_LIFE_S');
  process.exit(64);
}
const entry = createRequire(`${modules}/package.json`).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(entry));
// What the provider keeps everything in, as long as no other adapter is named.
const adapter = new URL('./adapters/memory_adapter.js', pathToFileURL(entry));
const { default: MemoryAdapter } = await import(adapter);

const KEY_ID = randomUUID();
const RESOURCE = 'https://mail.interop.test';
const RESOURCE_SCOPES = ['mail.read', 'mail.send'];
const OWN_SCOPES = ['openid', 'offline_access'];
const SCOPES = [...OWN_SCOPES, ...RESOURCE_SCOPES];
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const PUBLIC_CLIENT = 'public-client';
const CONFIDENTIAL_CLIENT = { id: 'confidential-client', secret: 'interop-secret-of-oidc' };
// How long a client is registered, in seconds: longer than any run.
const CLIENT_LIFE_S = 86_400;
// How many requests and revocations are remembered: all of a run's, and yet an end.
const REMEMBERED_MAX = 10_000;

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const client = {
  grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE],
  response_types: ['code'],
  // Of a native client any port will do (RFC 8252 section 7.3).
  redirect_uris: ['http://localhost', 'http://127.0.0.1/'],
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
  cookies: { keys: [randomUUID()] },
  // Those of the resource are its own: named here as well, they would have a second box.
  scopes: OWN_SCOPES,
  pkce: { required: () => true, methods: ['S256'] },
  clientAuthMethods: ['none', 'client_secret_post', 'client_secret_basic', 'private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['PS256', 'RS256'] },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: tokenLifeS,
    ClientCredentials: tokenLifeS,
    IdToken: tokenLifeS,
    DeviceCode: 600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 600,
    Grant: 86400,
  },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id }),
  }),
  claims: { openid: ['sub', 'preferred_username'] },
  conformIdTokenClaims: false,
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true, ...device },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: RESOURCE_SCOPES.join(' '),
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

// What came of the requests: in all, and of each user or application when tokens were ready, in
// seconds since 1970.
const figures = { refreshes: 0, reuses: 0, refused: 0, revoked: 0, users: {} };
// What clients sent.
const requests = [];
const revocations = [];

provider.on('grant.success', (ctx) => {
  const who = ctx.oidc.entities.Account?.accountId ?? ctx.oidc.client.clientId;
  figures.refreshes += 1;
  (figures.users[who] ??= []).push((performance.timeOrigin + performance.now()) / 1000);
});
provider.on('grant.error', (ctx, error) => {
  // A device that asks whether its person has entered the code yet is not refused.
  if (['authorization_pending', 'slow_down'].includes(error.error)) return;
  figures.refused += 1;
  if (error.error_detail === 'refresh token already used') figures.reuses += 1;
  console.error(`${new Date().toISOString()} ${error.error}: ${error.error_detail}`);
});
provider.on('grant.revoked', () => {
  figures.revoked += 1;
});
provider.on('authorization.error', (_ctx, error) => {
  console.error(`${new Date().toISOString()} ${error.error}: ${error.error_detail}`);
});
provider.on('server_error', (_ctx, error) => console.error(error));

async function consent(accountId, clientId) {
  const found = await provider.Client.find(clientId);
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(RESOURCE, RESOURCE_SCOPES.join(' '));
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

async function register(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const metadata = JSON.parse(Buffer.concat(chunks));
  await provider.Client.validate(metadata);
  await new MemoryAdapter('Client').upsert(metadata.client_id, metadata, CLIENT_LIFE_S);
}

function remember(list, it) {
  list.push(it);
  if (list.length > REMEMBERED_MAX) list.shift();
}

provider.use(async (ctx, next) => {
  switch (`${ctx.method} ${ctx.path}`) {
    case 'POST /consents':
      ctx.body = { refresh_token: await consent(ctx.query.user, ctx.query.client) };
      return;
    case 'POST /clients':
      await register(ctx.req);
      ctx.body = {};
      return;
    case 'GET /figures':
      ctx.body = figures;
      return;
    case 'GET /requests':
      ctx.body = requests.filter(({ client: it }) => it === ctx.query.client);
      return;
    case 'GET /revocations':
      ctx.body = revocations;
      return;
    default:
  }
  if (ctx.path.startsWith('/interaction/')) {
    await interact(provider, ctx);
    return;
  }
  await next();
  switch (ctx.oidc?.route) {
    case 'token':
      remember(requests, {
        client: ctx.oidc.client?.clientId,
        form: { ...ctx.oidc.body },
        authorization: ctx.get('authorization') || null,
        status: ctx.status,
        error: ctx.body?.error ?? null,
        refresh_token: ctx.body?.refresh_token ?? null,
      });
      break;
    case 'revocation':
      remember(revocations, ctx.oidc.body?.token ?? null);
      break;
    default:
  }
});

server.on('request', provider.callback());
console.log(
  JSON.stringify({
    issuer,
    authorization_endpoint: `${issuer}/auth`,
    token_endpoint: `${issuer}/token`,
    device_authorization_endpoint: `${issuer}/device/auth`,
    revocation_endpoint: `${issuer}/token/revocation`,
    resource: RESOURCE,
    scopes: SCOPES,
    public_client: PUBLIC_CLIENT,
    client_id: CONFIDENTIAL_CLIENT.id,
    client_secret: CONFIDENTIAL_CLIENT.secret,
    kid: KEY_ID,
    public_key_pem: publicKey.export({ format: 'pem', type: 'spki' }),
  }),
);
