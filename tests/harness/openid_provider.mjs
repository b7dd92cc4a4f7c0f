// The certified OpenID provider `oidc-provider`, for tests: its configuration is a JSON document on stdin, its users log
// in by naming themselves in the header "x-user" of the requests that a browser would make.

import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer } from 'node:http';

const given = JSON.parse(readFileSync(0, 'utf-8'));
const { Provider } = await import(`${given.modules}/oidc-provider/lib/index.js`);

const provider = new Provider(given.issuer, {
  jwks: { keys: given.keys },
  clients: given.clients,
  claims: {
    openid: ['sub'],
    profile: ['preferred_username', 'name'],
    groups: ['groups'],
  },
  scopes: ['openid', 'profile', 'groups'],
  conformIdTokenClaims: given.claims_in_userinfo_only,
  pkce: { required: () => true },
  cookies: { keys: ['for tests only'] },
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
  },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, ...given.users[id] }),
  }),
  features: {
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_context, _client, oneOf) => oneOf,
      useGrantedResource: () => false,
      getResourceServerInfo: (_context, resource) => ({
        scope: '',
        audience: resource,
        accessTokenFormat: 'jwt',
      }),
    },
  },
  loadExistingGrant: async (context) => {
    const { Grant } = context.oidc.provider;
    const grant = new Grant({ accountId: context.oidc.session.accountId, clientId: context.oidc.client.clientId });
    grant.addOIDCScope('openid profile groups');
    await grant.save();
    return grant;
  },
});

provider.use(async (context, next) => {
  if (!context.path.startsWith('/interaction/')) return next();
  const { prompt } = await provider.interactionDetails(context.req, context.res);
  const user = context.get('x-user');
  if (prompt.name !== 'login' || !(user in given.users)) return context.throw(403, `${user} is asked for ${prompt.name}`);
  return provider.interactionFinished(context.req, context.res, { login: { accountId: user } });
});

const server = given.tls
  ? createTlsServer({ cert: readFileSync(given.tls.certificate), key: readFileSync(given.tls.key) }, provider.callback())
  : createServer(provider.callback());
server.listen(given.port, '127.0.0.1', () => process.stdout.write('ready\n'));
