/** Apache that staples: `SSLUseStapling on`, as docs/caching.md has it, and with the defaults for what is not good. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Answer,
  type MatrixCase,
  type MatrixClient,
  printedVersion,
  TELLS_ALL,
  type Verdict,
} from './client.ts'
import { documented } from './tls-pages.ts'
import { freePort, startTLSServer } from './tls-programs.ts'
import { readStaple, STAPLE_READERS, type StapleRead } from './tls-staple.ts'

const PROGRAM = '/usr/sbin/apache2'
const MODULES = '/usr/lib/apache2/modules'
/** In the documented configuration; its default is on. */
const ERRORS_OFF = 'SSLStaplingReturnResponderErrors off'

/**
 * What SSLStaplingReturnResponderErrors decides in 2.4.71 is whether a response that is not successful goes on to the client.
 * A status that is not good is logged (stapling_check_response, AH02969) and stapled either way, whatever the manual says of
 * "only responses indicating a certificate status of good": for revoked that is right, a client should hear of it.
 */
export const APACHE: MatrixClient = apache('Apache SSLUseStapling', 'SSLStaplingReturnResponderErrors on', {
  ...TELLS_ALL,
  // The error itself is stapled: GnuTLS and OpenSSL clients take no notice, curl --cert-status refuses it.
  'never (unauthorized)': 'refused',
})

export const APACHE_ERRORS_OFF: MatrixClient = apache('Apache, ReturnResponderErrors off', ERRORS_OFF, {
  ...TELLS_ALL,
  'never (unauthorized)': 'no staple',
})

function apache(title: string, errors: string, expected: Readonly<Record<Answer, Verdict>>): MatrixClient {
  return {
    title,
    programs: [PROGRAM, ...STAPLE_READERS],
    version: () => printedVersion(PROGRAM, ['-v'], /Apache\/[\d.]+/),
    ask: (question) => ask(question, errors),
    expected,
    says: {
      good: /query response received/,
      revoked: /response has certificate status revoked \(reason: keyCompromise\)/,
      hold: /response has certificate status revoked \(reason: certificateHold\)/,
      'never (unauthorized)': /responder error unauthorized/,
      'never (unknown)': /response has certificate status unknown/,
    },
    // It does not look at signatures: its clients must, and do.
    forged: { verdict: 'refused', says: /Response Verify Failure/ },
  }
}

/** The child processes of root are somebody else, and nobody is always there. */
const USER = process.getuid?.() === 0 ? 'User #65534\nGroup #65534' : ''

async function ask(question: MatrixCase, errors: string): Promise<StapleRead> {
  const folder = join(question.folder, errors.endsWith('off') ? 'apache' : 'apache-errors')
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const chain = join(folder, 'chain.pem')
  writeFileSync(chain, readFileSync(question.certificate, 'utf8') + readFileSync(question.issuer, 'utf8'))
  const host = documented('Apache', 'apache', {
    '/run/apache2/stapling': join(folder, 'stapling'),
    '*:443': `127.0.0.1:${port}`,
    'www.example.com': 'localhost',
    '/etc/ssl/site/chain.pem': chain,
    '/etc/ssl/site/key.pem': question.key,
    [ERRORS_OFF]: errors,
  })
  const modules = ['mpm_event', 'socache_shmcb', 'ssl']
  const configuration = join(folder, 'apache.conf')
  writeFileSync(
    configuration,
    `${modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
${USER}
ServerName localhost
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile apache.pid
ErrorLog ${folder}/error.log
LogLevel ssl:debug
StartServers 1
Listen 127.0.0.1:${port}
${host}`,
  )
  const server = await startTLSServer(PROGRAM, ['-f', configuration, '-DFOREGROUND'], port, folder)
  try {
    // The handshake waits for the answer: the first client has its staple.
    const { verdict, output } = await readStaple(question, port)
    return { verdict, output: `${output}\n${readFileSync(join(folder, 'error.log'), 'utf8')}` }
  } finally {
    await server.stop()
  }
}
