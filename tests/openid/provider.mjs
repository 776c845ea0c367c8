// An OpenID provider for the tests. Nobody types anything: it signs in the account that the request
// names in `login_hint`. PORT, REDIRECT_URL and the URL after signing out are its arguments,
// CLIENT_SECRET stands in the environment.
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, redirectUrl, signedOutUrl] = process.argv.slice(2);

const accounts = {
  'u-ada': { email: 'ada@example.com', email_verified: true },
  'u-tom': { email: 'tom@example.com', email_verified: false },
  'u-stranger': { email: 'stranger@example.com', email_verified: true },
};

// `other` is another program that people sign in to at the same provider.
const client = (id) => ({
  client_id: id,
  client_secret: process.env.CLIENT_SECRET,
  redirect_uris: [redirectUrl],
  post_logout_redirect_uris: [signedOutUrl],
});

const key = (kind, options, more) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
  use: 'sig',
  ...more,
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    client('rapport'),
    client('other'),
    { ...client('rapport-curve'), id_token_signed_response_alg: 'ES256' },
  ],
  jwks: {
    keys: [
      key('rsa', { modulusLength: 2048 }, { kid: `rsa-${Date.now()}`, alg: 'RS256' }),
      key('ec', { namedCurve: 'P-256' }, { kid: `curve-${Date.now()}`, alg: 'ES256' }),
    ],
  },
  cookies: { keys: ['of the tests'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  ttl: { IdToken: 60, Session: 600, Interaction: 600, Grant: 600 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts[id] }) }),
  // Everybody agrees to what is asked.
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({
      clientId: oidc.client.clientId,
      accountId: oidc.session.accountId,
    });
    grant.addOIDCScope('openid email');
    await grant.save();
    return grant;
  },
});

// The id token that `other` got last, which the next program gets in place of its own.
let stolen;

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/interaction/')) {
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    const login = { accountId: params.login_hint };
    ctx.status = 303;
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login }));
    return;
  }
  await next();
  if (ctx.oidc?.route !== 'token' || !ctx.body?.id_token) return;
  if (ctx.oidc.client.clientId === 'other') {
    stolen = ctx.body.id_token;
  } else if (stolen) {
    ctx.body = { ...ctx.body, id_token: stolen };
    stolen = undefined;
  }
});

provider.listen(port, '127.0.0.1', () => console.log('listening'));
