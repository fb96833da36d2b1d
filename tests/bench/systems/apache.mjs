// Apache with mod_auth_openidc as a resource server: RS256 is verified locally, claims become headers.

import { existsSync, writeFileSync } from 'node:fs';

import { installed, output } from './installed.mjs';

const MODULES = '/usr/lib/apache2/modules';
const NAMES = [
  ...['mpm_event', 'socache_shmcb', 'ssl', 'http2', 'proxy', 'proxy_http', 'headers'],
  ...['authn_core', 'authz_core', 'authz_user', 'auth_openidc'],
];

export const systems = [
  {
    name: 'apache-oidc',
    label: 'Apache mod_auth_openidc',
    auth: 'JWT',
    claims: 'OIDC_CLAIM_sub',
    program: () => installed('apache2'),
    find: () =>
      installed('apache2') &&
      existsSync(`${MODULES}/mod_auth_openidc.so`) && { version: output('apache2', ['-v']).match(/Apache\/(\S+)/)[1] },
    command,
  },
];

function command({ directory, port, certificate, key, upstream, issuer, log }) {
  const file = `${directory}/apache.conf`;
  const user = process.getuid() === 0 ? 'User www-data\nGroup www-data' : '';
  writeFileSync(
    file,
    `
ServerRoot ${directory}
DefaultRuntimeDir ${directory}
PidFile ${directory}/apache.pid
ErrorLog ${directory}/output.log
LogLevel error
ServerName localhost
${user}
${NAMES.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
Listen 127.0.0.1:${port}
ListenBacklog 16384
ServerLimit 8
StartServers 4
ThreadsPerChild 64
MaxRequestWorkers 512
MinSpareThreads 64
MaxSpareThreads 512
AsyncRequestWorkerFactor 16
MaxKeepAliveRequests 0
KeepAliveTimeout 300
LimitRequestBody 0
BufferedLogs On
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
CustomLog ${log} combined
Protocols h2 http/1.1
H2MaxSessionStreams 256
SSLSessionCache shmcb:${directory}/tls(20000000)
SSLEngine on
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLCertificateFile ${certificate}
SSLCertificateKeyFile ${key}
OIDCCryptoPassphrase for-one-run-of-the-benchmark
OIDCOAuthVerifyCertFiles bench#${issuer.certificateFile}
OIDCOAuthRemoteUserClaim sub
<Location "/">
  AuthType oauth20
  Require valid-user
</Location>
ProxyPass "/sink" "http://127.0.0.1:${upstream.sinkPort}/sink"
ProxyPass "/" "http://127.0.0.1:${upstream.port}/" keepalive=On
`,
  );
  return ['apache2', '-D', 'FOREGROUND', '-f', file];
}
