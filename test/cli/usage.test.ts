/** What the program says without any responder: help, usage errors, who is not there. Exit codes: architecture section 8. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LocalServer, PROGRAM, runProgram } from './support.ts'

let folder: string
/** Of a port that was free a moment ago. */
let nobody: string
beforeAll(async () => {
  const server = new LocalServer(async () => new Response())
  nobody = await server.listen()
  await server.close()
  folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-usage-'))
  writeFileSync(join(folder, 'notes.txt'), 'hello')
  writeFileSync(join(folder, 'empty.pem'), '')
  writeFileSync(join(folder, 'cut.pem'), '-----BEGIN CERTIFICATE-----\nMIIB\n')
  writeFileSync(
    join(folder, 'key.pem'),
    '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n',
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

const run = (line: string, env: Record<string, string> = {}) =>
  runProgram(line === '' ? [] : line.split(' '), {
    cwd: folder,
    env: { EDGE_OCSP_URL: nobody, ...env },
  })

const COMMANDS = [
  'dev',
  'issuer',
  'issuer add',
  'issuer set',
  'issuer list',
  'issuer show',
  'issuer move',
  'issuer disable',
  'issuer enable',
  'issuer thaw',
  'issuer resign',
  'issuer compromise',
  'issuer finalize',
  'responder',
  'responder add',
  'responder list',
  'responder retire',
  'cert',
  'cert add',
  'cert reserve',
  'cert show',
  'revoke',
  'unrevoke',
  'revoke-many',
  'import',
  'import openssl-index',
  'presign',
  'status',
  'audit',
  'audit export',
  'audit replay',
  'query',
  'decode',
]

describe('--help', () => {
  test.concurrent.each(COMMANDS)(
    'of "%s" has an example and exits 0',
    { timeout: 120_000 },
    async (command) => {
      const { code, stdout, stderr } = await run(`${command} --help`)
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(new RegExp(`Usage: edge-ocsp ${command}`))
      expect(stdout).toMatch(new RegExp(`Examples?:\\n +\\$ .*edge-ocsp ${command}`))
    },
  )

  test('of the program names the exit codes, the environment and every command', async () => {
    const { code, stdout } = await run('--help')
    expect(code).toBe(0)
    for (const word of [
      'EDGE_OCSP_URL',
      'EDGE_OCSP_TOKEN',
      'EDGE_OCSP_STATE',
      '3 could not find out',
      ...COMMANDS,
    ]) {
      expect(stdout).toContain(word.split(' ')[0])
    }
  })
})

describe('a usage error exits 2 and says on stderr what, where and what to do', () => {
  test.concurrent.each<[string, RegExp]>([
    ['', /Usage: edge-ocsp/],
    ['frobnicate', /unknown command 'frobnicate'[\s\S]*--help/],
    ['issuer frobnicate', /unknown command 'frobnicate'/],
    ['status --frobnicate', /unknown option '--frobnicate'/],
    ['revoke', /missing required argument/],
    ['issuer add', /required option '--cert <file>' not specified/],
    [
      'issuer add --cert missing.pem',
      /missing\.pem: cannot read it: no such file[\s\S]*Paths are taken from/,
    ],
    ['issuer add --cert .', /\.: cannot read it: it is a folder/],
    ['issuer add --cert notes.txt', /notes\.txt: neither PEM nor DER[\s\S]*BEGIN CERTIFICATE/],
    ['issuer add --cert cut.pem', /cut\.pem: no -----END CERTIFICATE----- \(line 1\)/],
    ['issuer set demo', /nothing to change[\s\S]*--validity/],
    ['issuer set demo --validity 7', /--validity: "7" is not a duration[\s\S]*90s, 4m/],
    ['issuer set demo --validity 0d', /--validity: "0d" is no time at all/],
    ['issuer set demo --validity 9999d', /longer than 10 years/],
    ['issuer set demo --max-age often', /--max-age .*"often"/],
    ['issuer set demo --unknown good', /never issued[\s\S]*--crl-only/],
    ['issuer set demo --unknown maybe', /Allowed choices are unauthorized, unknown, revoked-extended, good/],
    ['issuer set demo --crl-only', /--unknown good/],
    ['issuer set demo --retain 101y', /longer than 100 years/],
    [
      'issuer set demo --profile public-trust --unknown revoked-extended',
      /--unknown revoked-extended and --profile public-trust exclude each other[\s\S]*4\.9\.13/,
    ],
    ['issuer set demo --profile public-trust --unknown good --crl-only', /exclude each other[\s\S]*4\.9\.9/],
    [
      'issuer set demo --signed-requests require --no-requestors',
      /refuses every signature[\s\S]*--requestor/,
    ],
    ['issuer set demo --requestor notes.txt', /notes\.txt: neither PEM nor DER/],
    ['issuer set demo --requestor notes.txt --no-requestors', /exclude each other/],
    ['issuer set demo --archive-cutoff forever', /Allowed choices are none, retention, issuer/],
    ['issuer set demo --algorithm sha1WithRSA', /--algorithm: "sha1WithRSA"[\s\S]*Ed25519, or newest/],
    ['issuer compromise demo', /every certificate of demo.*cannot be taken back[\s\S]*--yes/],
    ['issuer compromise demo --time today --yes', /--time: "today" is not a time/],
    ['issuer finalize demo', /nothing of demo can be changed.*cannot be taken back[\s\S]*--yes/],
    ['issuer set demo --hashes sha1,md5', /--hashes: "md5"[\s\S]*sha256/],
    [
      'issuer show no/such.pem',
      /no file, no subject key identifier in hex and no short name[\s\S]*issuer list/,
    ],
    ['responder add --issuer demo', /no responder was named[\s\S]*--cert/],
    ['responder add --issuer demo --key key.pem', /nobody to sign with it[\s\S]*--sign-with-ca/],
    [
      'responder add --issuer demo --sign-with-ca',
      /private key of the responder is missing[\s\S]*--secret-name/,
    ],
    [
      'responder add --issuer demo --sign-with-ca --key key.pem',
      /key\.pem: the private key is encrypted[\s\S]*openssl pkcs8/,
    ],
    [
      'responder add --issuer demo --sign-with-ca --key notes.txt',
      /notes\.txt: not a readable private key[\s\S]*openssl pkcs8/,
    ],
    ['cert add', /no certificate was named[\s\S]*--serial/],
    ['cert add --serial 1 --issuer demo', /--not-after is missing/],
    [
      'cert add --serial 1 --issuer demo --not-after tomorrow',
      /--not-after: "tomorrow" is not a time[\s\S]*2026-11-21T03:00:00Z/,
    ],
    ['cert add --serial 1 --issuer demo --not-after 2027-02-29', /--not-after: "2027-02-29" is not a time/],
    ['cert add --serial 1 --not-after 2027-11-21 --cert-hash', /its hash must be given[\s\S]*sha256:HEX/],
    [
      'cert add --serial 1 --not-after 2027-11-21 --cert-hash sha256:0102',
      /"0102" is not a SHA-256 hash: 64 digits/,
    ],
    ['cert add --cert-hash notes.txt', /took the file notes\.txt for the name of a hash[\s\S]*=sha256/],
    ['cert add --serial 1 --not-after 2027-11-21 --cert-hash crc32', /--cert-hash: "crc32"/],
    ['cert add --serial 1 --not-after 2027-11-21 --scts notes.txt', /notes\.txt: not a list of SCTs/],
    ['cert reserve', /missing required argument/],
    ['cert reserve notes.txt', /notes\.txt: a file; what is signed already is not reserved[\s\S]*cert add/],
    ['cert reserve 0a xyz --issuer demo', /"xyz" is neither a serial number nor a file/],
    ['cert show xyz --issuer demo', /"xyz" is neither a serial number nor a file[\s\S]*--decimal/],
    ['cert show 12x --decimal --issuer demo', /"x" at character 3 is not decimal/],
    ['revoke -x', /unknown option '-x'/],
    ['revoke 0a --reason because --issuer demo', /--reason: "because"[\s\S]*keyCompromise/],
    ['revoke 0a --reason removeFromCRL --issuer demo', /unrevoke/],
    ['revoke 0a --at noon --issuer demo', /--at: "noon" is not a time/],
    ['revoke 0a --at 20261121 --issuer demo', /--at: "20261121" is not a time[\s\S]*2026-11-21/],
    ['revoke 0a --at 202611210300 --issuer demo', /--at: "202611210300" is not a time/],
    ['revoke 0a --issuer demo --invalidity-date yesterday', /--invalidity-date: "yesterday" is not a time/],
    ['revoke 0a --issuer demo --crl-url crl.pem', /--crl-url: "crl\.pem" is not an address/],
    ['revoke 0a --issuer demo --crl-number -5', /--crl-number: "-" at character 1/],
    [
      'revoke 0a --issuer demo --crl-number 80112233445566778899aabbccddeeff00112233',
      /21 octets.* 20 at most/,
    ],
    [
      'revoke 0a --issuer demo --at 2026-11-20T12:00:00Z --crl-time 2026-11-20T11:59:59Z',
      /--crl-time is before --at/,
    ],
    ['revoke empty.pem --issuer demo', /empty\.pem: neither PEM nor DER/],
    ['import openssl-index missing.txt --issuer demo', /missing\.txt: cannot read it: no such file/],
    ['import openssl-index . --issuer demo', /\.: it is a folder/],
    ['audit export --after soon', /argument 'soon' is invalid/],
    ['audit replay missing.jsonl', /missing\.jsonl: no such file/],
    ['audit replay .', /\.: cannot read it: it is a folder/],
    ['query', /required option '--issuer <issuer>'/],
    ['query --issuer notes.txt', /name one certificate[\s\S]*--serial/],
    ['query 0a1b --issuer notes.txt', /0a1b: no such file[\s\S]*--serial/],
    ['query --serial 0a --issuer notes.txt --method PUT', /"PUT" is neither GET nor POST/],
    ['query --serial 0a --issuer notes.txt --hash md5', /--hash: "md5"/],
    ['decode', /missing required argument/],
    ['decode nothing', /"nothing" is no file and neither base64 nor hex[\s\S]*standard input/],
    ['decode notes.txt', /neither base64 nor hex/],
    ['decode http://ocsp.example/AAAA', /holds no OCSP request/],
    ['dev --port 70000', /'70000' is invalid[\s\S]*65535/],
    ['dev --validity soon', /--validity: "soon" is not a duration/],
    ['status --url ftp://x', /--url: "ftp:\/\/x" is not an http or https address/],
  ])('%s', { timeout: 120_000 }, async (line, message) => {
    const { code, stdout, stderr } = await run(line)
    expect(stderr).toMatch(message)
    expect([code, stdout]).toEqual([2, ''])
  })

  test('an address in the environment is named as such', async () => {
    const { code, stderr } = await run('status', { EDGE_OCSP_URL: 'localhost' })
    expect(code).toBe(2)
    expect(stderr).toMatch(/EDGE_OCSP_URL: "localhost" is not an http or https address/)
  })
})

describe('nobody there exits 3 with the address and the remedy', () => {
  test.concurrent.each([
    'status',
    'issuer list',
    'revoke 0a --issuer demo',
    'presign --wait',
    'audit export',
    'cert show 0a --issuer demo',
  ])('%s', { timeout: 120_000 }, async (line) => {
    const { code, stdout, stderr } = await run(line)
    expect([code, stdout]).toEqual([3, ''])
    expect(stderr).toContain(`cannot reach the responder at ${nobody}: connection refused`)
    expect(stderr).toMatch(/npm start[\s\S]*EDGE_OCSP_URL/)
  })

  test('with --json the failure is JSON too', async () => {
    const { code, json } = await run('status --json')
    expect(code).toBe(3)
    expect(json()).toMatchObject({
      error: { code: 'unknown', message: expect.stringContaining(nobody) },
    })
  })
})

test('the token is never sent in clear to another machine', async () => {
  const { code, stderr } = await run('status', {
    EDGE_OCSP_URL: 'http://ocsp.example.com',
    EDGE_OCSP_TOKEN: 'secret-token',
  })
  expect(code).toBe(2)
  expect(stderr).toMatch(/plain HTTP to another machine[\s\S]*https/)
  expect(stderr).not.toContain('secret-token')
})

/** A Node on this machine that is too old: the first of PATH that is not ours. */
const OLD_NODE = (process.env['PATH'] ?? '')
  .split(':')
  .map((directory) => join(directory, 'node'))
  .find(
    (node) =>
      Number(/^v(\d+)/.exec(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]) < 24,
  )

if (OLD_NODE === undefined) console.warn('there is no Node older than 24 on the PATH: its test is skipped')

test.skipIf(OLD_NODE === undefined)(
  'an older Node hands over to the one of the repository, or names the remedy, exit 2',
  () => {
    const start = (program: string, args: readonly string[]) => {
      const { status, stdout, stderr } = spawnSync(OLD_NODE ?? '', [program, ...args], {
        encoding: 'utf8',
        cwd: folder,
      })
      return { status, stdout, stderr }
    }
    expect(start(PROGRAM, ['--version'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
    expect(start(PROGRAM, ['frobnicate'])).toMatchObject({ status: 2 })
    const apart = join(folder, 'edge-ocsp.mjs')
    copyFileSync(PROGRAM, apart)
    expect(start(apart, ['--version'])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/needs Node 24 or newer[\s\S]*npm install/),
    })
  },
)
