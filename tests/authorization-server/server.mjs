// A certified authorization server (npm oidc-provider) as the integration tests want it: on port 0, refresh tokens rotate
// and the whole grant is revoked when one is presented twice, access tokens are signed JWTs (RFC 9068).
//
//   node server.mjs ['{"accessTokenLifetime": 300, "algorithm": "RS256"}']
//
// With {"clientKey": PEM, "clientAlgorithm": "ES256"}, the client `usher-key` authenticates by private_key_jwt with that key.
//
// It prints one JSON line, {"issuer": "http://127.0.0.1:PORT"}, and ends when its standard input is closed, so that it
// cannot outlive the test that started it. Beside the provider's own endpoints there are, for tests only:
//
//   POST /test/tokens?sub=alice&lifetime=-10   first tokens of a new grant, without a browser
//   POST /test/delay?ms=500                    every later token request takes that much longer
//   POST /test/fault?is=error                  the next token request is answered with 500, and nothing was rotated
//   POST /test/fault?is=hangup                 the next token request is answered by closing the connection, after rotation
//   POST /test/next?sub=root                   whoever signs in from now on is this user (alice at first)
//   POST /test/next?sub=alice&ago=3600         the same, and they have signed in so many seconds ago
//   POST /test/next?sub=alice&acr=ignored      the same, and nobody minds in which way (acr_values); they do at first
//   POST /test/next?error=access_denied        nobody signs in from now on: they are sent back with this error
//   POST /test/gateway?port=8443              https://app.test is there: where logout tokens are delivered
//   GET  /test/stats                           what was counted so far
//
// Signing in by the authorization code flow needs no forms: the interaction answers for the user at once.

import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

import { interactionPolicy, Provider } from 'oidc-provider';

import { Adapter } from './adapter.mjs';

const options = { accessTokenLifetime: 300, accessTokenFormat: 'jwt', algorithm: 'RS256', ...JSON.parse(process.argv[2] ?? '{}') };

/** The audience of every access token, and the resource indicator (RFC 8707) that asks for it. */
const AUDIENCE = 'usher';
const RESOURCE = 'https://app.test/';

const USERS = {
  alice: { email: 'alice@app.test', realm_access: { roles: ['reader'] } },
  root: { email: 'root@app.test', realm_access: { roles: ['reader', 'admin'] } },
};

const stats = { token_requests: 0, tokens_issued: 0, reuses: 0, grants_revoked: 0, revocations: 0, introspections: 0 };
let delay = 0;
let fault;
let outcome = { sub: 'alice' };
let gateway;

function signingKeys() {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return [
    { ...rsa.export({ format: 'jwk' }), kid: 'rsa-1', use: 'sig', alg: 'RS256' },
    { ...ec.export({ format: 'jwk' }), kid: 'ec-1', use: 'sig', alg: 'ES256' },
  ];
}

/** A confidential client; RFC 6749 section 2.3.1 encodes `+`, `/` and `=` in the secret, and so must Usher. */
function client(id, method) {
  return {
    client_id: id,
    client_secret: 'a secret/with+signs that=need encoding',
    token_endpoint_auth_method: method,
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['https://app.test/.usher/callback'],
    post_logout_redirect_uris: ['https://app.test/.usher/sign-out'],
    backchannel_logout_uri: 'https://app.test/.usher/backchannel-logout',
    backchannel_logout_session_required: true,
  };
}

/** The name of a key where nothing else is said (RFC 7638). */
function thumbprint(jwk) {
  const names = { EC: ['crv', 'kty', 'x', 'y'], OKP: ['crv', 'kty', 'x'], RSA: ['e', 'kty', 'n'] }[jwk.kty];
  return createHash('sha256').update(JSON.stringify(Object.fromEntries(names.map((name) => [name, jwk[name]])))).digest('base64url');
}

/** A client with a key of its own (RFC 7523). */
function keyClient() {
  const { client_secret: _, ...rest } = client('usher-key', 'private_key_jwt');
  const jwk = createPublicKey(options.clientKey).export({ format: 'jwk' });
  const kid = options.clientKeyId ?? thumbprint(jwk);
  return { ...rest, token_endpoint_auth_signing_alg: options.clientAlgorithm, jwks: { keys: [{ ...jwk, kid, use: 'sig' }] } };
}

function resourceServer() {
  return {
    scope: 'read write',
    audience: AUDIENCE,
    accessTokenTTL: options.accessTokenLifetime,
    accessTokenFormat: options.accessTokenFormat,
    ...(options.accessTokenFormat === 'jwt' && { jwt: { sign: { alg: options.algorithm } } }),
  };
}

/** Whoever has not signed in in one of the ways that are asked for (acr_values) signs in again. */
function policy() {
  const { base, Check } = interactionPolicy;
  const prompts = base();
  const unmet = 'unmet_authentication_requirements';
  prompts.get('login').checks.add(new Check('acr_values', 'none of the ways could be had', unmet, ({ oidc }) => {
    const wanted = oidc.params.acr_values?.split(' ');
    const fine = !wanted || outcome.acr === 'ignored' || oidc.result?.login || wanted.includes(oidc.session.acr);
    return fine ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT;
  }));
  return prompts;
}

const configuration = {
  acrValues: ['gold', 'silver'],
  adapter: Adapter,
  clients: [
    client('usher', 'client_secret_basic'),
    client('usher-post', 'client_secret_post'),
    ...(options.clientKey ? [keyClient()] : []),
  ],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: { keys: signingKeys() },
  scopes: ['openid', 'offline_access', 'read', 'write'],
  claims: { openid: ['sub'], email: ['email'] },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  loadExistingGrant: grantEverything,
  ttl: {
    AccessToken: (_context, token) => token.resourceServer?.accessTokenTTL ?? options.accessTokenLifetime,
    Grant: 86_400,
    IdToken: 300,
    Interaction: 300,
    RefreshToken: 86_400,
    Session: 86_400,
  },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: (_context, client, token) => client.clientId === token.clientId },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: resourceServer,
    },
  },
  fetch: fetchFromGateway,
  extraTokenClaims: (_context, token) => USERS[token.accountId],
  findAccount: (_context, id) => (id in USERS ? { accountId: id, claims: () => ({ sub: id, ...USERS[id] }) } : undefined),
  interactions: { policy: policy(), url: (_context, interaction) => `/test/interaction/${interaction.uid}` },
};

/** Delivers to the gateway under test, whose port and self-made certificate nobody else knows. */
async function fetchFromGateway(url, { method, headers, body }) {
  const { host, pathname } = new URL(url);
  if (!gateway) throw new Error(`nobody has said where ${host} is`);
  const options = { host: '127.0.0.1', port: gateway, servername: host, path: pathname, method, rejectUnauthorized: false };
  const asked = request({ ...options, headers: { ...Object.fromEntries(new Headers(headers)), host } });
  asked.end(String(body));
  const [answer] = await once(asked, 'response');
  answer.resume();
  return new Response(null, { status: answer.statusCode });
}

/** Nobody is asked for consent: what the client asks for is granted, once per session. */
async function grantEverything(context) {
  const { oidc } = context;
  const existing = oidc.session.grantIdFor(oidc.client.clientId);
  if (existing) return oidc.provider.Grant.find(existing);
  const grant = new oidc.provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId });
  grant.addOIDCScope('openid offline_access read write');
  grant.addResourceScope(RESOURCE, 'read write');
  await grant.save();
  return grant;
}

/** Answers for the user: signs in, or turns back. */
async function interact(provider, context) {
  const { params } = await provider.interactionDetails(context.req, context.res);
  const acr = outcome.acr === 'ignored' ? undefined : params.acr_values?.split(' ')[0];
  const login = { accountId: outcome.sub, ts: Math.floor(Date.now() / 1000) - Number(outcome.ago ?? 0), ...(acr && { acr }) };
  const result = outcome.error ? { error: outcome.error } : { login };
  context.respond = false;
  await provider.interactionFinished(context.req, context.res, result, { mergeWithLastSubmission: false });
}

/** What the authorization code flow would leave behind, made of the provider's own models. */
async function firstTokens(provider, accountId, lifetime) {
  const scope = 'openid offline_access read write';
  const usher = await provider.Client.find('usher');
  const grant = new provider.Grant({ accountId, clientId: usher.clientId });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(RESOURCE, 'read write');
  const grantId = await grant.save();

  const now = Math.floor(Date.now() / 1000);
  const common = { accountId, client: usher, grantId, gty: 'authorization_code' };
  const access = new provider.AccessToken({ ...common, scope: 'read write', iat: now - 3600, exp: now + lifetime });
  access.resourceServer = new provider.ResourceServer(RESOURCE, resourceServer());
  const refresh = new provider.RefreshToken({ ...common, scope, resource: RESOURCE, rotations: 0 });
  return { access_token: await access.save(), refresh_token: await refresh.save(), expires_in: lifetime };
}

async function testEndpoints(provider, context, next) {
  const { path, query } = context;
  if (path === '/test/tokens') {
    context.body = await firstTokens(provider, query.sub ?? 'alice', Number(query.lifetime ?? options.accessTokenLifetime));
  } else if (path === '/test/delay') {
    delay = Number(query.ms);
    context.body = {};
  } else if (path === '/test/fault') {
    fault = query.is;
    context.body = {};
  } else if (path === '/test/gateway') {
    gateway = Number(query.port);
    context.body = {};
  } else if (path === '/test/next') {
    outcome = { ...query };
    context.body = {};
  } else if (path.startsWith('/test/interaction/')) {
    await interact(provider, context);
  } else if (path === '/test/stats') {
    context.body = stats;
  } else {
    await next();
  }
}

/** Goes on, unless somebody has asked for a fault. */
async function meetFault(context, next) {
  const met = fault;
  fault = undefined;
  if (met === 'error') {
    context.status = 500;
    return;
  }
  await next();
  if (met === 'hangup') {
    context.respond = false;
    context.req.socket.destroy();
  }
}

async function countTokenRequests(context, next) {
  if (context.path === '/token') {
    stats.token_requests += 1;
    await sleep(delay);
    await meetFault(context, next);
    return;
  } else if (context.path === '/token/revocation') {
    stats.revocations += 1;
  } else if (context.path === '/token/introspection') {
    stats.introspections += 1;
  }
  await next();
}

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, configuration);
provider.use((context, next) => testEndpoints(provider, context, next));
provider.use(countTokenRequests);
provider.on('grant.success', () => { stats.tokens_issued += 1; });
provider.on('grant.revoked', () => { stats.grants_revoked += 1; });
provider.on('grant.error', (_context, error) => {
  if (error.error_detail === 'refresh token already used') stats.reuses += 1;
});
provider.on('server_error', (_context, error) => console.error(error));
server.on('request', provider.callback());

// Nobody reads more than the first line: what the provider has to say after that is lost, which must not end it.
process.stdout.on('error', () => {});
process.stdin.resume().on('end', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
