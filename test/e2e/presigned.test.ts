/** It is really pre-signed: what was signed before is answered to the octet by a server that can read no key. */
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatLogLine } from '../../src/cli/dev/log-lines.ts'
import { startRuntime } from '../../src/cli/dev/runtime.ts'
import { buildWorker } from '../../src/cli/dev/worker-bundle.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/index.ts'
import { DEMO_NAMES, demoQuestion, getOCSP, postOCSP } from '../support/clients.ts'
import { startServer, type TestServer } from '../support/server.ts'

const HASHES = ['SHA-1', 'SHA-256'] as const
const RECORDED = DEMO_NAMES.filter((name) => name !== 'never')
const NONCE_OID = '1.3.6.1.5.5.7.48.1.2'

/** What an exchange over the same state needs. */
interface Keyless {
  readonly url: string
  /** Everything logged so far. */
  log(): string
}

let first: TestServer
/** Hex by "certificate hash"; each was the same by GET and by POST. */
let signed: ReadonlyMap<string, string>
beforeAll(async () => {
  first = await startServer()
  signed = await collect(first.url)
  await first.stop({ keep: true })
})
afterAll(() => rmSync(first.state, { recursive: true, force: true }))

/** The data centre's cache outlives a restart here; without it, what is left are the bundles. */
function forgetCache(): void {
  rmSync(join(first.state, 'stores', 'cache'), { recursive: true, force: true })
}

test('a server with its keys has signed answers for every recorded certificate and both hashes', () => {
  expect(signed.size).toBe(DEMO_NAMES.length * HASHES.length)
  for (const name of RECORDED)
    for (const hash of HASHES) expect(signed.get(`${name} ${hash}`)?.length).toBeGreaterThan(1000)
})

test('it signed none of them for the question either', () => {
  expect(origins(first.output())).not.toContain('live')
})

describe('over the same state, with another KEY_ENCRYPTION_KEY', () => {
  let server: TestServer
  beforeAll(async () => {
    forgetCache()
    const path = join(first.state, 'key-encryption-key')
    const right = readFileSync(path)
    writeFileSync(path, `${randomBytes(32).toString('base64')}\n`)
    server = await startServer({ state: first.state })
    writeFileSync(path, right)
  })
  afterAll(async () => {
    await server.stop()
  })

  itAnswersAsBefore(() => ({ url: server.url, log: server.output }))
})

describe('over the same state, without KEY_ENCRYPTION_KEY', () => {
  let url = ''
  let log = ''
  let dispose = async (): Promise<void> => {}
  const temporary = process.env['TMPDIR']
  beforeAll(async () => {
    forgetCache()
    const runtime = await startRuntime({
      bundle: await buildWorker(),
      folder: first.state,
      host: '127.0.0.1',
      port: 0,
      variables: { ADMIN_TOKEN: first.token, LOG_SAMPLE_RATE: '1' },
      onLog: (line) => {
        log += `${formatLogLine(line, new Date())}\n`
      },
      onRestart: () => undefined,
    })
    url = runtime.url
    dispose = () => runtime.dispose()
  })
  afterAll(async () => {
    await dispose()
    if (temporary === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = temporary
  })

  itAnswersAsBefore(() => ({ url, log: () => log }))

  test('says what is missing', async () => {
    const ready = await fetch(`${url}/readyz`)
    expect(ready.status).toBe(503)
    expect(await ready.text()).toContain('keyEncryptionKeyMissing')
  })
})

function itAnswersAsBefore(keyless: () => Keyless): void {
  const url = () => keyless().url

  test.each([
    ['cold: a bundle in KV', ['bundle', 'memory']],
    ['warm: the memory of the isolate', ['memory']],
  ])('every answer is the same to the octet, %s', async (_what, expected) => {
    const before = keyless().log().length
    expect(await collect(url())).toEqual(signed)
    const exchanges = DEMO_NAMES.length * HASHES.length * 2
    const lines = () => keyless().log().slice(before)
    await expect.poll(() => lines().match(/ (GET|POST) /g)?.length, { timeout: 5_000 }).toBe(exchanges)
    expect([...origins(lines())].sort()).toEqual(expected)
  })

  test.each(RECORDED)('a nonce gets the pre-signed answer, without nonce: %s (R2.3)', async (name) => {
    for (const hash of HASHES) {
      const answer = await postOCSP(url(), demoQuestion(first, name, { hash, nonce: true }))
      const extensions = decodeSuccessfulResponse(answer).tbsResponseData.responseExtensions ?? []
      expect(extensions.map(({ extnID }) => extnID)).not.toContain(NONCE_OID)
      expect(hex(answer)).toBe(signed.get(`${name} ${hash}`))
    }
  })

  test('a hash that nothing was signed for is an internal error, never "unauthorized" (R1.28)', async () => {
    for (const name of RECORDED)
      for (const hash of ['SHA-384', 'SHA-512'] as const)
        for (const send of [getOCSP, postOCSP]) {
          const answer = await send(url(), demoQuestion(first, name, { hash }))
          expect(decodeOCSPResponse(answer).responseStatus).toBe('internalError')
        }
  })
}

async function collect(url: string): Promise<ReadonlyMap<string, string>> {
  const answers = new Map<string, string>()
  for (const name of DEMO_NAMES)
    for (const hash of HASHES) {
      const question = demoQuestion(first, name, { hash })
      const byGET = hex(await getOCSP(url, question))
      expect(hex(await postOCSP(url, question)), `${name} by POST and by GET`).toBe(byGET)
      answers.set(`${name} ${hash}`, byGET)
    }
  return answers
}

/** Where the answers came from, by a log. */
function origins(log: string): ReadonlySet<string | undefined> {
  return new Set(Array.from(log.matchAll(/ from (\w+), SHA-/g), ([, origin]) => origin))
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex')
}
