/** nginx that staples: `ssl_stapling on; ssl_stapling_verify on`, as docs/caching.md has it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type MatrixCase, type MatrixClient, printedVersion } from './client.ts'
import { documented } from './tls-pages.ts'
import { freePort, pause, startTLSServer } from './tls-programs.ts'
import { hasStaple, readStaple, STAPLE_READERS, type StapleRead } from './tls-staple.ts'

/** Where Debian has it, whatever is in PATH. */
export const NGINX_PROGRAM = '/usr/sbin/nginx'

/** How long an answer may take to be fetched: nginx itself waits 60 s for the responder. */
const FETCH_MS = 20_000

/**
 * nginx staples `good` and nothing else: ngx_ssl_stapling_ocsp_handler drops every response whose certificate status is not
 * good, or that is not successful, and says so in its error log. A client that insists on a staple (RFC 7633) then
 * refuses the server; others go on without.
 */
export const NGINX: MatrixClient = {
  title: 'nginx ssl_stapling',
  programs: [NGINX_PROGRAM, ...STAPLE_READERS],
  version: () => printedVersion(NGINX_PROGRAM, ['-v'], /nginx\/[\d.]+/),
  ask,
  expected: {
    good: 'good',
    revoked: 'no staple',
    hold: 'no staple',
    expired: 'good',
    'never (unauthorized)': 'no staple',
    'never (unknown)': 'no staple',
  },
  says: {
    revoked: /certificate status "revoked" in the OCSP response/,
    hold: /certificate status "revoked" in the OCSP response/,
    'never (unauthorized)': /OCSP response not successful \(6: unauthorized\)/,
    'never (unknown)': /certificate status "unknown" in the OCSP response/,
  },
  forged: { verdict: 'no staple', says: /OCSP_basic_verify\(\) failed/ },
}

/** What every nginx of the tests runs with: one process, nothing outside of its folder. */
export function nginxConfiguration(folder: string, http: string): string {
  for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'])
    mkdirSync(join(folder, name), { recursive: true })
  return `${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
worker_processes 1;
pid nginx.pid;
error_log ${folder}/error.log info;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
${http}
}
`
}

async function ask(question: MatrixCase): Promise<StapleRead> {
  const folder = join(question.folder, 'nginx')
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const chain = join(folder, 'chain.pem')
  writeFileSync(chain, readFileSync(question.certificate, 'utf8') + readFileSync(question.issuer, 'utf8'))
  const server = documented('nginx', 'nginx', {
    'listen 443 ssl': `listen 127.0.0.1:${port} ssl`,
    '/etc/ssl/site/chain.pem': chain,
    '/etc/ssl/site/key.pem': question.key,
    '/etc/ssl/site/issuer.pem': question.issuer,
  })
  writeFileSync(join(folder, 'nginx.conf'), nginxConfiguration(folder, server))
  const log = () => readFileSync(join(folder, 'error.log'), 'utf8')
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
  const nginx = await startTLSServer(NGINX_PROGRAM, args, port, folder)
  try {
    // The first handshake makes it ask; until it has an answer, or has turned one down, there is nothing to see.
    const deadline = Date.now() + FETCH_MS
    while (!(await hasStaple(question, port)) && !/OCSP respon|OCSP_basic_verify/.test(log())) {
      if (Date.now() > deadline) throw new Error(`nothing was fetched:\n${log()}`)
      await pause(50)
    }
    const { verdict, output } = await readStaple(question, port)
    return { verdict, output: `${output}\n${log()}` }
  } finally {
    await nginx.stop()
  }
}
