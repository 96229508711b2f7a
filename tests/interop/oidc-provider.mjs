// oidc-provider as a real server over TLS: a foreign implementation of CIBA, whose phones are rung by its own hooks.
//
//   node oidc-provider.mjs SETTINGS.json
//
// SETTINGS: {cert, key, ca, modes, clients, strict?}: PEM files, delivery modes, static clients as the library wants
// them; `strict` ends the handshake of whoever shows no certificate of `ca`. Prints one line of JSON once it listens:
// {issuer, control}. The control interface is plain HTTP on loopback:
//
//   GET  /rings                          {login_hint: how often that phone rang}
//   GET  /requests                       [{id, login_hint, binding_message, scope, client_id}], oldest first
//   POST /requests/{id}/{approve|deny}   204
//   POST /rotate                         204; signs with new keys from now on, the old ones are gone
//   GET  /keys                           [kid]
//   GET  /tokens                         {account: how many of its access and refresh tokens live and are not spent}
//   GET  /refreshes                      {client_id: how many refreshes succeeded}
//   POST /userinfo/{off|on}              204; refused while it is off
//   POST /left/{client_id}/{login_hint}  204; sends a logout token
//
// The library must be resolvable from the working folder: ES modules ignore NODE_PATH.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';

const resolve = createRequire(`${process.cwd()}/`).resolve;
const { default: Provider, errors } = await import(pathToFileURL(resolve('oidc-provider')).href);

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const rings = {};
const requests = new Map();

// An account is known by an opaque name: `sub` must not be taken for the login hint.
const accountOf = (loginHint) => `account:${loginHint}`;

// What the library keeps. Its own memory is forgotten by each new instance; this one outlives a rotation of keys, as a
// database would.
const kept = new Map();

class Memory {
    constructor(model) {
        this.key = (id) => `${model}:${id}`;
    }

    upsert(id, payload, seconds) {
        const until = seconds === undefined ? Infinity : Date.now() + seconds * 1000;
        kept.set(this.key(id), { payload: structuredClone(payload), until });
    }

    find(id) {
        const entry = kept.get(this.key(id));
        return entry && entry.until > Date.now() ? structuredClone(entry.payload) : undefined;
    }

    consume(id) {
        kept.get(this.key(id)).payload.consumed = Math.floor(Date.now() / 1000);
    }

    destroy(id) {
        kept.delete(this.key(id));
    }

    revokeByGrantId(grantId) {
        for (const [key, { payload }] of kept) if (payload.grantId === grantId) kept.delete(key);
    }
}

function newKeys() {
    const kinds = [
        ['rsa', { modulusLength: 2048 }, {}],
        ['ec', { namedCurve: 'P-256' }, { alg: 'ES256' }],
    ];
    return kinds.map(([kind, options, more]) => {
        const { privateKey } = generateKeyPairSync(kind, options);
        return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', ...more };
    });
}

function configuration(keys) {
    return {
        adapter: Memory,
        clients: settings.clients,
        jwks: { keys },
        cookies: { keys: [randomUUID()] },
        scopes: ['openid', 'profile', 'offline_access'],
        claims: { openid: ['sub', 'preferred_username'], profile: ['name', 'given_name', 'family_name'] },
        conformIdTokenClaims: false,
        clientAuthMethods: [
            'client_secret_basic',
            'client_secret_post',
            'private_key_jwt',
            'tls_client_auth',
            'self_signed_tls_client_auth',
        ],
        enabledJWA: {
            idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'],
            requestObjectSigningAlgValues: ['ES256'],
        },
        ttl: {
            BackchannelAuthenticationRequest: 120,
            AccessToken: (_ctx, _token, client) => settings.access_token_seconds?.[client.clientId] ?? 120,
            IdToken: 120,
            Grant: 3600,
            RefreshToken: 1800,
        },
        rotateRefreshToken: true,
        findAccount: (_ctx, account) => ({
            accountId: account,
            claims: () => ({
                sub: account,
                preferred_username: account.slice('account:'.length),
                name: 'Camille Test',
                given_name: 'Camille',
                family_name: 'Test',
            }),
        }),
        // The library refuses loopback addresses, and everything of ours is there.
        fetch: (url, { dispatcher, ...options } = {}) => globalThis.fetch(url, options),
        features: {
            devInteractions: { enabled: false },
            revocation: { enabled: true },
            backchannelLogout: { enabled: true },
            requestObjects: { enabled: true },
            ciba: {
                enabled: true,
                deliveryModes: settings.modes,
                processLoginHint: (_ctx, hint) => (hint.startsWith('unknown') ? undefined : accountOf(hint)),
                processLoginHintToken: () => undefined,
                validateBindingMessage: () => {},
                validateRequestContext: () => {},
                verifyUserCode: () => {},
                triggerAuthenticationDevice: (ctx, request) => {
                    const { login_hint: loginHint, binding_message: bindingMessage, scope } = ctx.oidc.params;
                    rings[loginHint] = (rings[loginHint] ?? 0) + 1;
                    requests.set(request.jti, {
                        id: request.jti,
                        login_hint: loginHint,
                        binding_message: bindingMessage,
                        scope,
                        client_id: request.clientId,
                    });
                },
            },
            mTLS: {
                enabled: true,
                certificateBoundAccessTokens: true,
                tlsClientAuth: true,
                selfSignedTlsClientAuth: true,
                getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
                certificateAuthorized: (ctx) => ctx.socket.authorized,
                certificateSubjectMatches: (ctx, property, expected) => {
                    if (property !== 'tls_client_auth_subject_dn') return false;
                    const subject = ctx.socket.getPeerX509Certificate().subject;
                    // Node writes one attribute a line, the first first; RFC 4514 the last first.
                    return subject.split('\n').reverse().join(',') === expected;
                },
            },
        },
    };
}

const tls = {
    cert: readFileSync(settings.cert),
    key: readFileSync(settings.key),
    ca: readFileSync(settings.ca),
    requestCert: true,
    rejectUnauthorized: settings.strict === true,
};
let provider;
let keys;
let tellsWho = true;
const refreshes = {};
let answer;
const server = createHttps(tls, (request, response) => answer(request, response));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `https://localhost:${server.address().port}`;

function useNewKeys() {
    keys = newKeys();
    provider = new Provider(issuer, configuration(keys));
    provider.use(async (ctx, next) => {
        if (!tellsWho && ctx.path === '/me') ctx.throw(503);
        await next();
        // The library itself leaves the interval out, which means five seconds.
        if (ctx.body?.auth_req_id) ctx.body.interval = 1;
    });
    provider.on('grant.success', (ctx) => {
        if (ctx.oidc.params.grant_type !== 'refresh_token') return;
        const { clientId } = ctx.oidc.client;
        refreshes[clientId] = (refreshes[clientId] ?? 0) + 1;
    });
    provider.on('server_error', (_ctx, error) => console.error(error));
    // What a client is not told.
    provider.on('backchannel_authentication.error', (_ctx, error) => console.error(error.error_detail ?? error.message));
    answer = provider.callback();
}
useNewKeys();

async function decide(id, decision) {
    const request = await provider.BackchannelAuthenticationRequest.find(id);
    if (decision === 'deny') {
        await provider.backchannelResult(request, new errors.AccessDenied('the person said no'));
        return;
    }
    const grant = new provider.Grant({ accountId: request.accountId, clientId: request.clientId });
    grant.addOIDCScope(requests.get(id).scope);
    await grant.save();
    await provider.backchannelResult(request, grant, { authTime: Math.floor(Date.now() / 1000) });
}

function livingTokens() {
    const count = {};
    for (const [key, { payload, until }] of kept) {
        const [model] = key.split(':');
        if (!['AccessToken', 'RefreshToken'].includes(model) || until <= Date.now() || payload.consumed) continue;
        count[payload.accountId] = (count[payload.accountId] ?? 0) + 1;
    }
    return count;
}

async function left(clientId, loginHint) {
    const client = await provider.Client.find(clientId);
    await client.backchannelLogout(accountOf(loginHint));
}

async function control(method, path) {
    const [first, id, decision] = path.split('/').slice(1).map(decodeURIComponent);
    switch (`${method} ${first}`) {
        case 'GET rings':
            return rings;
        case 'GET requests':
            return [...requests.values()];
        case 'GET keys':
            return keys.map(({ kid }) => kid);
        case 'GET tokens':
            return livingTokens();
        case 'GET refreshes':
            return refreshes;
        case 'POST userinfo':
            tellsWho = id === 'on';
            return undefined;
        case 'POST left':
            return left(id, decision);
        case 'POST rotate':
            return useNewKeys();
        case 'POST requests':
            if (requests.has(id) && ['approve', 'deny'].includes(decision)) return decide(id, decision);
            break;
        default:
    }
    throw new Error(`no such call: ${method} ${path}`);
}

const controller = createHttp((request, response) => {
    control(request.method, request.url).then(
        (result) => {
            response.writeHead(result === undefined ? 204 : 200, { 'Content-Type': 'application/json' });
            response.end(result === undefined ? undefined : JSON.stringify(result));
        },
        (error) => {
            response.writeHead(500, { 'Content-Type': 'application/json' });
            response.end(JSON.stringify(String(error)));
        },
    );
});
controller.listen(0, '127.0.0.1');
await once(controller, 'listening');

console.log(JSON.stringify({ issuer, control: `http://127.0.0.1:${controller.address().port}` }));
