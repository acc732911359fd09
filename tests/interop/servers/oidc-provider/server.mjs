// oidc-provider as the tests use it: node server.mjs PORT. Lifetimes in seconds: ACCESS_TTL, REFRESH_TTL.
import http from 'node:http';
import Provider, { errors } from 'oidc-provider';
import * as jose from 'jose';
import Storage from './storage.mjs';

const port = Number(process.argv[2]);
const accessTtl = Number(process.env.ACCESS_TTL ?? 10);
const refreshTtl = Number(process.env.REFRESH_TTL ?? 600);
const issuer = `http://127.0.0.1:${port}`;
const api = 'urn:test:api';
const files = 'urn:test:files'; // A second API of the same login.
const mcp = `${issuer}/mcp`; // A resource that says itself where its tokens come from (RFC 9728).
const users = { ada: 'lovelace' };
const openid = 'openid offline_access';
const stats = { logins: 0, refreshes: 0, refused: 0, revoked_grants: 0, rejected: 0, nonces: 0 };

const { privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
const jwk = { ...(await jose.exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'k1' };
// The key of a client that signs. A test reads it at /client-key.
const clientKeys = await jose.generateKeyPair('ES256', { extractable: true });
const clientJwk = { ...(await jose.exportJWK(clientKeys.publicKey)), alg: 'ES256', use: 'sig', kid: 'client' };
const clientPem = await jose.exportPKCS8(clientKeys.privateKey);
const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
const resourceServer = {
  scope: 'read write', accessTokenTTL: accessTtl, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
};

const client = {
  client_secret: 'catalog-secret', grant_types: ['password', 'refresh_token', 'client_credentials'],
  redirect_uris: [], response_types: [], scope: `${openid} read write`,
};
const person = { scope: `${openid} read write`, token_endpoint_auth_method: 'none', application_type: 'native' };
const provider = new Provider(issuer, {
  adapter: Storage,
  clients: [
    { ...client, client_id: 'catalog', token_endpoint_auth_method: 'client_secret_basic' },
    { ...client, client_id: 'catalog-post', token_endpoint_auth_method: 'client_secret_post' },
    {
      client_id: 'signer', token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [clientJwk] },
      grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'read write',
    },
    {
      ...person, client_id: 'cli', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'],
    },
    { ...person, client_id: 'tv', grant_types: [deviceGrant, 'refresh_token'], redirect_uris: [], response_types: [] },
  ],
  jwks: { keys: [jwk] },
  cookies: { keys: ['test'] },
  clockTolerance: 0, // By default tokens live for 15 s longer than `expires_in` says.
  scopes: ['openid', 'offline_access', 'read', 'write'],
  acrValues: ['mfa'],
  // By which means the person has logged in, for the API.
  extraTokenClaims: (ctx) => ({ acr: (ctx.oidc.entities.AuthorizationCode ?? ctx.oidc.entities.RefreshToken)?.acr }),
  findAccount: (_ctx, id) => (id in users ? { accountId: id, claims: async () => ({ sub: id }) } : undefined),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  rotateRefreshToken: true,
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: { AccessToken: accessTtl, ClientCredentials: accessTtl, RefreshToken: refreshTtl, IdToken: accessTtl, Grant: 3600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true },
    // Each proof has to have a nonce, at the token endpoint and at `/me`.
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
    resourceIndicators: {
      enabled: true,
      // What a token is for that a client does not ask for by itself.
      defaultResource: (_ctx, _client, oneOf) => (Array.isArray(oneOf) && oneOf.includes(api) ? api : oneOf),
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => {
        if (![api, files, mcp].includes(resource)) throw new errors.InvalidTarget();
        return { ...resourceServer, audience: resource };
      },
    },
  },
});

// The library has no password grant of its own; its documentation shows how to add one.
provider.registerGrantType('password', async (ctx) => {
  const { params: { username, password, resource }, client } = ctx.oidc;
  if (!username || users[username] !== password) throw new errors.InvalidGrant('invalid credentials');
  const grant = new provider.Grant({ clientId: client.clientId, accountId: username });
  grant.addOIDCScope(openid);
  grant.addResourceScope(api, 'read write');
  const grantId = await grant.save();
  const owner = { accountId: username, client, grantId, gty: 'password' };
  const access = new provider.AccessToken({ ...owner, scope: resource ? 'read write' : openid });
  if (resource) access.resourceServer = new provider.ResourceServer(resource, { ...resourceServer, audience: resource });
  const refresh = new provider.RefreshToken({ ...owner, resource, rotations: 0, scope: `${openid} read write` });
  ctx.body = {
    access_token: await access.save(), expires_in: access.expiration, refresh_token: await refresh.save(),
    scope: access.scope, token_type: access.tokenType,
  };
}, ['username', 'password', 'resource'], ['resource']);

// What a person who is Ada agrees to.
async function granted(clientId) {
  const grant = new provider.Grant({ clientId, accountId: 'ada' });
  grant.addOIDCScope(person.scope);
  grant.addResourceScope(api, 'read write');
  grant.addResourceScope(files, 'read write');
  grant.addResourceScope(mcp, 'read write');
  return grant.save();
}

// The pages on which a person logs in and agrees: they do so at once.
async function interact(req, res) {
  const { prompt, params } = await provider.interactionDetails(req, res);
  const result = prompt.name === 'login'
    ? { login: { accountId: 'ada', acr: params.acr_values?.split(' ')[0] } } : { consent: { grantId: await granted(params.client_id) } };
  return provider.interactionFinished(req, res, result);
}

// The page on which a person enters the code of a device.
async function enter(req, res) {
  const userCode = new URL(req.url, issuer).searchParams.get('user_code').replaceAll('-', '');
  const code = await provider.DeviceCode.findByUserCode(userCode, { ignoreExpiration: true });
  const { scope, resource } = code.params;
  const grantId = await granted(code.clientId);
  Object.assign(code, { accountId: 'ada', authTime: Math.floor(Date.now() / 1000), grantId, scope, resource });
  await code.save();
  res.writeHead(200).end();
}

provider.on('grant.success', (ctx) => { stats[ctx.oidc.params.grant_type === 'refresh_token' ? 'refreshes' : 'logins'] += 1; });
provider.on('grant.error', (_ctx, { error }) => {
  if (error === 'use_dpop_nonce') stats.nonces += 1;
  else if (error !== 'authorization_pending') stats.refused += 1;
});
provider.on('grant.revoked', () => { stats.revoked_grants += 1; });
provider.on('server_error', (_ctx, error) => console.error(error));

// The API for tokens that are JWTs. That for opaque ones is the provider's own `/me`.
const keys = jose.createLocalJWKSet({ keys: [(({ kty, n, e, alg, use, kid }) => ({ kty, n, e, alg, use, kid }))(jwk)] });
// What a token lacks for a call.
function challenge(url, { scope = '', acr }) {
  if (url === '/api/write' && !scope.split(' ').includes('write')) return 'insufficient_scope, scope="write"';
  if (url === '/api/pay' && acr !== 'mfa') return 'insufficient_user_authentication, acr_values="mfa", max_age="300"';
  return undefined;
}
// The resource that names its server.
function aboutMcp(res) {
  const about = { resource: mcp, authorization_servers: [issuer], scopes_supported: ['openid', 'offline_access', 'read'] };
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(about));
}
async function callMcp(req, res) {
  try {
    const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')[1];
    await jose.jwtVerify(token, keys, { issuer, audience: mcp });
    res.writeHead(200).end();
  } catch {
    res.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${issuer}/about-mcp"` }).end();
  }
}
async function callApi(req, res) {
  try {
    const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')[1];
    const { payload } = await jose.jwtVerify(token, keys, { issuer, audience: req.url.startsWith('/api/files') ? files : api });
    const lacks = challenge(req.url, payload);
    if (lacks) res.writeHead(lacks.startsWith('insufficient_scope') ? 403 : 401, { 'www-authenticate': `Bearer error=${lacks}` });
    else res.writeHead(200);
    res.end();
  } catch {
    res.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
  }
}

const handle = provider.callback();
http.createServer((req, res) => {
  if (req.url === '/stats') return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(stats));
  if (req.url === '/client-key') return res.writeHead(200).end(clientPem);
  if (req.url === '/about-mcp') return aboutMcp(res);
  if (req.url === '/mcp') return callMcp(req, res);
  if (req.url.startsWith('/interaction/')) return interact(req, res);
  if (req.url.startsWith('/enter')) return enter(req, res);
  const isApi = req.url.startsWith('/api/');
  if (isApi || req.url === '/me') res.on('finish', () => {
    if (res.statusCode !== 401) return;
    stats[/use_dpop_nonce/.test(res.getHeader('www-authenticate')) ? 'nonces' : 'rejected'] += 1;
  });
  return isApi ? callApi(req, res) : handle(req, res);
}).listen(port, '127.0.0.1');
