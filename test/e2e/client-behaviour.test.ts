/**
 * Every known client asks a running Worker about any certificate of any issuer, in any way that it has, and gets the answer
 * that a plain question gets: the same octets, or, where an answer is made for it alone, one that says the same.
 */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OID } from '../../src/asn1/oid.ts'
import { verifyResponse } from '../../src/cli/ocsp-verify.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse, encodeCertID } from '../../src/ocsp/index.ts'
import { toHex } from '../fixtures/octets.ts'
import {
  type Asking,
  anyConversation,
  type Client,
  type Conversation,
  conversationOf,
  keepsAlive,
  valuesOf,
  type Way,
} from '../support/client-behaviour.ts'
import { send, type Validators, type Worded, word } from '../support/client-behaviour-octets.ts'
import { CLIENTS } from '../support/client-behaviour-table.ts'
import { converse, type Heard } from '../support/client-behaviour-wire.ts'
import { type AskedWorld, startAskedWorld } from '../support/client-behaviour-world.ts'
import { postOCSP } from '../support/clients.ts'

const RUNS_PER_CLIENT = 20
const MIXED_RUNS = 200
const PERSONAL = ['cache-control', 'content-type', 'date']
const SHARED = [...PERSONAL, 'etag', 'expires', 'last-modified']

let world: AskedWorld
beforeAll(async () => {
  world = await startAskedWorld()
})
afterAll(async () => {
  await world.server.stop()
})

/** What each client has done so far. */
const done = new Map<string, Way[]>()

describe('a certificate asked for as real clients do has one answer (R5.1-R5.13, R5.17, R5.30-R5.36, R5.40, R5.43, R5.44, R5.46, R5.48-R5.50)', () => {
  test.each(CLIENTS)('$name ($source)', async (client) => {
    await fc.assert(
      fc.asyncProperty(conversationOf(client), async (conversation) => {
        await hold(conversation)
        done.set(client.name, [...(done.get(client.name) ?? []), ...conversation.map(({ way }) => way)])
      }),
      { numRuns: RUNS_PER_CLIENT },
    )
  })

  test('one that words it as one client and sends it as another (R5.50)', async () => {
    await fc.assert(fc.asyncProperty(anyConversation(CLIENTS), hold), { numRuns: MIXED_RUNS })
  })

  test('and every client of the table has asked, often, in each of its ways', () => {
    const asked = CLIENTS.map(({ name }) => [name, done.get(name)?.length ?? 0] as const)
    expect(asked.filter(([, times]) => times < RUNS_PER_CLIENT)).toEqual([])
    expect(asked.reduce((sum, [, times]) => sum + times, 0)).toBeGreaterThan(500)
    for (const client of CLIENTS) expect(missingValues(client), client.name).toEqual([])
  })
})

/** Values that the table gives a client and that its generator never makes. */
function missingValues(client: Client): string[] {
  const ways = fc.sample(conversationOf(client), { numRuns: 300, seed: 1 }).flat()
  const seen = new Set(
    ways.flatMap(({ way }) => Object.entries(way).map(([key, value]) => `${key} ${JSON.stringify(value)}`)),
  )
  const wanted = client.ways.flatMap((entry) =>
    Object.entries(valuesOf(entry)).flatMap(([key, values]) =>
      values.map((value) => `${key} ${JSON.stringify(value)}`),
    ),
  )
  return wanted.filter((value) => !seen.has(value))
}

interface Question {
  readonly asking: Asking
  readonly worded: Worded
  readonly direct: Direct
}

/** What a plain POST gets. */
interface Direct extends Validators {
  readonly der: Uint8Array
  readonly body: Buffer
}

/** Lets a client speak, and holds every answer against the direct one. */
async function hold(conversation: Conversation): Promise<void> {
  const questions: Question[] = []
  for (const asking of conversation) {
    const worded = await word(asking.way, subjectsOf(asking), world.requestor, asking.noise)
    questions.push({ asking, worded, direct: await askDirectly(asking) })
  }
  const { url } = world.server
  const last = conversation.at(-1)
  const ends = last !== undefined && !keepsAlive(last.way)
  const said = questions.map(({ asking: { way, cut }, worded, direct }) => ({
    // What answers several CertIDs is made anew each time: nobody has a copy.
    ...send(way, worded.der, url, way.certIDs === 1 ? direct : undefined),
    isHEAD: way.method === 'HEAD',
    expects: way.expects,
    pipelined: way.pipelined,
    cut,
  }))
  const { heard, closed } = await converse(url, said, ends)
  expect(heard).toHaveLength(questions.length)
  expect(closed, 'the connection ends when the client wants it to (R5.30)').toBe(ends)
  for (const [i, question] of questions.entries()) {
    const answer = heard[i]
    if (answer === undefined) throw new Error('not answered')
    await check(question, answer)
  }
}

const subjectsOf = ({ issuer, certificates }: Asking) => {
  const { hashes, serials } = world.issuers[issuer]
  return certificates.map((name) => ({ hashes, serial: serials[name] }))
}

async function askDirectly(asking: Asking): Promise<Direct> {
  const { way, issuer, noise } = asking
  const { der } = await word(
    {
      hash: way.hash,
      parameters: 'NULL',
      certIDs: way.certIDs,
      nonce: 0,
      nonceForm: 'octet string',
      versionWritten: false,
      requestorName: 'none',
      extra: 'none',
      prefers: way.prefers,
      signed: way.signed && world.issuers[issuer].signedRequests === 'require',
    },
    subjectsOf(asking),
    world.requestor,
    noise,
  )
  const body = Buffer.from(await postOCSP(world.server.url, der))
  const etag = `"${createHash('sha256').update(body).digest('hex')}"`
  const isError = decodeOCSPResponse(body).responseStatus !== 'successful'
  const producedAt = isError ? 0 : decodeSuccessfulResponse(body).tbsResponseData.producedAt
  return { der, body, etag, lastModified: new Date(producedAt * 1000).toUTCString() }
}

async function check(question: Question, heard: Heard): Promise<void> {
  const { asking, direct } = question
  const { way } = asking
  if (isHostless(way)) {
    expect(heard.status, 'nobody knows which Worker is meant (R5.31)').toBe(400)
    return
  }
  expect(heard.version).toBe(way.version)
  expect(heard.continued, 'R5.36').toBe(way.expects)
  const said = saidOf(asking)
  const isError = typeof said === 'string'
  const isPersonal = isError || isForOne(asking)
  const isHeld = !isPersonal && way.method !== 'POST' && way.validator !== 'none' && way.certIDs === 1
  expect(heard.status).toBe(isHeld ? 304 : 200)
  checkNames(
    heard,
    isPersonal ? PERSONAL : isHeld ? SHARED.filter((name) => name !== 'content-type') : SHARED,
  )
  if (isPersonal) expect(heard.headers.get('cache-control')).toBe('no-store')
  if (isHeld || way.method === 'HEAD') {
    expect(heard.body.length, 'R5.32, R6.11').toBe(0)
    if (!isPersonal && way.certIDs === 1) expect(heard.headers.get('etag')).toBe(direct.etag)
    return
  }
  expect(heard.headers.get('content-length')).toBe(String(heard.body.length))
  if (isError) {
    expect(decodeOCSPResponse(heard.body).responseStatus).toBe(said)
    expect(heard.body).toHaveLength(5)
    return
  }
  if (!isEchoed(asking) && way.certIDs === 1) await checkSame(asking, direct, heard)
  checkMeaning(question, said, heard)
  if (!isPersonal) checkFreshness(heard)
}

const isHostless = ({ host, headers }: Way) =>
  host === 'none' && !headers.some((line) => /^host:/i.test(line))
const isEchoed = ({ issuer, way }: Asking) => way.nonce > 0 && world.issuers[issuer].nonce !== 'ignore'
const isForOne = (asking: Asking) =>
  isEchoed(asking) || world.issuers[asking.issuer].signedRequests === 'require'

/** Status of each certificate, or the error that the whole question gets. */
function saidOf({ issuer, way, certificates }: Asking): readonly string[] | string {
  const { never, nonce, signedRequests } = world.issuers[issuer]
  if (nonce === 'rfc8954' && way.nonce > 32) return 'malformedRequest'
  if (signedRequests === 'require' && !way.signed) return 'sigRequired'
  if (never === 'unauthorized' && certificates.includes('never')) return 'unauthorized'
  const status = { good: 'good', revoked: 'revoked', hold: 'revoked', expired: 'good', never } as const
  return certificates.map((name) => status[name])
}

/** Signed anew between the two questions, it is as the next direct one. */
async function checkSame(asking: Asking, direct: Direct, { body }: Heard): Promise<void> {
  if (body.equals(direct.body)) return
  expect(toHex(body)).toBe(toHex((await askDirectly(asking)).body))
}

/** Its signature verifies, it is about what was asked, says what is recorded, and bears the nonce. */
function checkMeaning({ asking, worded }: Question, said: readonly string[], { body }: Heard): void {
  const { file } = world.issuers[asking.issuer]
  const { responses, responseExtensions = [] } = decodeSuccessfulResponse(body).tbsResponseData
  expect(responses.map(({ certStatus }) => certStatus.type)).toEqual(said)
  const now = Math.floor(Date.now() / 1000)
  for (const { certID } of responses)
    verifyResponse(body, { certID, nonce: worded.nonce, der: worded.der }, file, now)
  const nonce = responseExtensions.find(({ extnID }) => extnID === OID.ocspNonce)
  const sent = isEchoed(asking) ? worded.nonce : undefined
  expect(nonce?.extnValue, 'R3.3').toEqual(sent)
  expect(nonce?.critical ?? false, 'R3.8').toBe(false)
  const ids = responses.map(({ certID }) => toHex(encodeCertID(certID)))
  // What is stored has parameters NULL; what is signed for this question has what was asked (R5.40).
  const asked = worded.certIDs.map(toHex)
  if (sent !== undefined || asking.way.parameters === 'NULL') expect(ids, 'R1.69').toEqual(asked)
  else
    for (const { certID } of responses)
      expect(asking.way.certIDs === 1 || certID.hashAlgorithm.parameters === undefined).toBe(true)
}

function checkNames({ headers }: Heard, names: readonly string[]): void {
  const framing = ['connection', 'content-length', 'keep-alive']
  expect([...headers.keys()].filter((name) => !framing.includes(name)).sort(), 'R2.7, R6.10').toEqual(
    [...names].sort(),
  )
  if (names.includes('content-type'))
    expect(headers.get('content-type'), 'R1.102').toBe('application/ocsp-response')
}

function checkFreshness({ headers, body }: Heard): void {
  const { responses, producedAt } = decodeSuccessfulResponse(body).tbsResponseData
  const nextUpdate = Math.min(...responses.map((single) => single.nextUpdate ?? 0))
  const seconds = (name: string) => Date.parse(headers.get(name) ?? '') / 1000
  const pattern = /^max-age=(\d+), public, no-transform, must-revalidate$/
  const maxAge = Number(pattern.exec(headers.get('cache-control') ?? '')?.[1] ?? Number.NaN)
  expect(seconds('date') + maxAge, 'R2.10').toBeLessThan(nextUpdate)
  expect(seconds('expires'), 'R2.9').toBe(nextUpdate)
  expect(seconds('last-modified'), 'R2.8').toBe(producedAt)
  expect(headers.get('etag'), 'R2.12').toBe(`"${createHash('sha256').update(body).digest('hex')}"`)
}
