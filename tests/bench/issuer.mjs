// The identity provider: a throw-away RSA key, tokens of about 900 bytes, discovery and key set over HTTP.

import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

import { run } from './systems/installed.mjs';

const signing = promisify(sign);
export const AUDIENCE = 'bench';

export class Issuer {
  static async start(directory) {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const issuer = new Issuer(pair);
    issuer.publicKeyFile = `${directory}/issuer.pub.pem`;
    writeFileSync(issuer.publicKeyFile, pair.publicKey.export({ type: 'spki', format: 'pem' }));
    // Some want the public key in a certificate.
    issuer.certificateFile = `${directory}/issuer.cert.pem`;
    const key = `${directory}/issuer.key`;
    writeFileSync(key, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    run('openssl', ['req', '-x509', '-key', key, '-subj', '/CN=issuer', '-days', '2', '-out', issuer.certificateFile]);
    issuer.server = createServer((request, response) => issuer.answer(request, response)).listen(0, '127.0.0.1');
    issuer.server.unref();
    await once(issuer.server, 'listening');
    issuer.port = issuer.server.address().port;
    issuer.url = `http://127.0.0.1:${issuer.port}`;
    return issuer;
  }

  constructor({ publicKey, privateKey }) {
    this.rsa = { kid: 'bench', algorithm: 'RS256', key: privateKey };
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    // Signs thirty times as fast as RSA: for tokens by the hundred thousand, where the price of the signature is no matter.
    this.ec = { kid: 'quick', algorithm: 'ES256', key: { key: ec.privateKey, dsaEncoding: 'ieee-p1363' } };
    this.jwks = { keys: [published(publicKey, this.rsa)] };
    this.moreJwks = { keys: [...this.jwks.keys, published(ec.publicKey, this.ec)] };
    this.made = 0;
  }

  answer(request, response) {
    const discovery = {
      issuer: this.url,
      jwks_uri: `${this.url}/jwks`,
      authorization_endpoint: `${this.url}/authorize`,
      token_endpoint: `${this.url}/token`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    };
    const body = request.url.endsWith('/jwks') ? this.moreJwks : discovery;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  /** A token that nobody has seen yet, of the size that providers make. `lifetime` in seconds. */
  async token(lifetime = 86_400, { kid, algorithm, key } = this.rsa) {
    const now = Math.floor(Date.now() / 1000);
    const number = String(this.made++).padStart(6, '0');
    const claims = {
      iss: this.url,
      aud: AUDIENCE,
      sub: `6b1f0f9e-2a51-4c6b-9a44-1d0c5a${number}`,
      iat: now,
      exp: now + lifetime,
      jti: `a6f7c9d0-7b0e-4a2e-8f64-90cf5e${number}`,
      sid: `0b6a7a3e-4dd9-4c0b-8f1c-35d2fb${number}`,
      azp: AUDIENCE,
      scope: 'openid email profile',
      preferred_username: `user-${number}`,
      email: `user-${number}@app.example`,
      realm_access: { roles: ['reader', 'editor', 'offline_access'] },
    };
    const encoded = [{ alg: algorithm, typ: 'JWT', kid }, claims].map((part) => base64(JSON.stringify(part)));
    const signature = await signing('sha256', Buffer.from(encoded.join('.')), key);
    return [...encoded, base64(signature)].join('.');
  }

  async tokens(count, signer = this.rsa) {
    const found = [];
    while (found.length < count) {
      const batch = Math.min(64, count - found.length);
      found.push(...(await Promise.all(Array.from({ length: batch }, () => this.token(undefined, signer)))));
    }
    return found;
  }
}

/** What a token says. */
export function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
}

/** The token with another letter in the middle of its signature. */
export function tampered(token) {
  const at = token.lastIndexOf('.') + 100;
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
}

/** The token with a claim changed and the signature kept. */
export function forged(token) {
  const [header, , signature] = token.split('.');
  return [header, base64(JSON.stringify({ ...claimsOf(token), sub: 'admin' })), signature].join('.');
}

function published(key, { kid, algorithm }) {
  return { ...key.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm };
}

function base64(data) {
  return Buffer.from(data).toString('base64url');
}
