// Whether a system answers rightly. One that does not is no yardstick, and counts for nothing.

import { request } from 'node:https';
import { connect } from 'node:http2';
import { once } from 'node:events';

import { claimsOf, forged, tampered } from './issuer.mjs';
import { BODY } from './upstream.mjs';

/** TLS as every system has to speak it here. The programs that make load are told the same by an OpenSSL configuration. */
export const CIPHER = 'TLS_AES_128_GCM_SHA256';
const tls = { minVersion: 'TLSv1.3', ciphers: CIPHER };

/** Says what is wrong with the answers of a system: an empty list when they are right. */
export async function mistakes({ system, port }, { issuer, ca }) {
  const token = await issuer.token();
  const found = [];
  const expect = (what, is, wanted) => {
    if (is !== wanted) found.push(`${what}: ${JSON.stringify(is)} instead of ${JSON.stringify(wanted)}`);
  };
  for (const [version, get] of [['HTTP/1.1', http1], ['HTTP/2', http2]]) {
    const ask = (path, bearer) => {
      const headers = { 'X-User-Id': 'admin', OIDC_CLAIM_sub: 'admin', ...(bearer && { authorization: `Bearer ${bearer}` }) };
      return get({ port, path, headers, ca }).catch((error) => ({ status: error.message }));
    };
    const good = await ask('/', token);
    expect(`${version} status with a token`, good.status, 200);
    expect(`${version} length of the answer`, good.body?.length, BODY);
    expect(`${version} cipher`, good.cipher, `TLSv1.3 ${CIPHER}`);
    if (system.claims) {
      const known = JSON.parse((await ask('/who', token)).body);
      expect(`${version} identity`, known[system.claims], claimsOf(token).sub);
    }
    if (system.auth !== 'JWT') continue;
    expect(`${version} status without a token`, (await ask('/')).status, 401);
    expect(`${version} status with a tampered signature`, (await ask('/', tampered(token))).status, 401);
    expect(`${version} status with a forged claim`, (await ask('/', forged(token))).status, 401);
    expect(`${version} status with an expired token`, (await ask('/', await issuer.token(-600))).status, 401);
  }
  return found;
}

async function http1({ port, path, headers, ca }) {
  const sent = request({ host: 'localhost', port, path, headers, ca, ...tls, agent: false });
  sent.end();
  const [answer] = await once(sent, 'response');
  const cipher = `${answer.socket.getProtocol()} ${answer.socket.getCipher().name}`;
  return { status: answer.statusCode, body: await text(answer), cipher };
}

async function http2({ port, path, headers, ca }) {
  const session = connect(`https://localhost:${port}`, { ca, ...tls });
  try {
    session.on('error', () => {});
    const stream = session.request({ ':path': path, ...headers });
    const [answer] = await once(stream, 'response');
    const body = await text(stream);
    const cipher = `${session.socket.getProtocol()} ${session.socket.getCipher().name}`;
    return { status: answer[':status'], body, cipher };
  } finally {
    session.destroy();
  }
}

async function text(stream) {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}
