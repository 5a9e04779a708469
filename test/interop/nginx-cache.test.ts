/**
 * The Worker behind a real caching proxy, nginx with the configuration of docs/caching.md, in real time: a response is
 * walked through its whole life while certificates are recorded and revoked, and every answer is held against what the
 * Worker gave and promised (docs: protocol of caches, RFC 9919 section 7, RFC 9111).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REQUIRE_CLIENTS } from '../support/clients.ts'
import { absence } from './matrix/client.ts'
import { NGINX } from './matrix/nginx.ts'
import type { Got } from './nginx/caching-proxy.ts'
import { type Asked, faultOf, type Sample, said } from './nginx/judge.ts'
import { walk } from './nginx/walk.ts'
import {
  CAP_SECONDS,
  type CachedWorld,
  type IssuerName,
  randomSerial,
  startCachedWorld,
} from './nginx/world.ts'

const HASHES = ['SHA-1', 'SHA-256'] as const
/** How long the answers of one certificate are on their way. */
const SLOW_MS = 2_500

const reason = absence(NGINX)
if (reason === undefined) describe(`behind ${NGINX.version()} with proxy_cache`, behindNginx)
else
  test('nginx is installed', (context) => {
    if (process.env[REQUIRE_CLIENTS] === '1') throw new Error(reason)
    console.warn(reason)
    context.skip(reason)
  })

function behindNginx(): void {
  let world: CachedWorld
  beforeAll(async () => {
    world = await startCachedWorld()
  })
  afterAll(() => world.stop())

  /** A certificate that only this test asks about. */
  async function fresh(issuer: IssuerName = 'capped'): Promise<{ serial: Uint8Array; asked: Asked }> {
    const serial = randomSerial()
    await world.record(issuer, serial)
    return { serial, asked: world.askOnce(issuer, serial) }
  }
  /** What went to the Worker for this path. */
  const passagesOf = ({ target }: Asked) => world.road.passages.filter((passage) => passage.target === target)
  function expectRight(asked: Asked, got: Got): void {
    expect(faultOf({ asked, got }, world.road.passages)).toBeUndefined()
  }

  test('one copy for all clients: no header of theirs makes another or leads past it (R6.10, R5.50)', async () => {
    const { asked } = await fresh()
    const first = await world.proxy.ask(asked.target)
    expect([first.cache, said(first)]).toEqual(['MISS', 'good'])
    for (const headers of [
      {},
      { 'accept-encoding': 'gzip, br' },
      { accept: 'text/html', 'user-agent': 'other' },
      { cookie: 'a=b' },
      { 'cache-control': 'no-cache', pragma: 'no-cache' },
      { 'cache-control': 'max-age=0' },
    ]) {
      const got = await world.proxy.ask(asked.target, { headers })
      expectRight(asked, got)
      expect([got.cache, got.body.equals(first.body)]).toEqual(['HIT', true])
      expect(got.headers['content-encoding']).toBeUndefined()
    }
    expect(passagesOf(asked).length).toBe(1)
  })

  test('a copy stays until its max-age is over, and is fetched again then (R2.7, R2.11)', async () => {
    const { asked } = await fresh()
    const first = await world.proxy.ask(asked.target)
    expect(first.headers['cache-control']).toBe(
      `max-age=${CAP_SECONDS}, public, no-transform, must-revalidate`,
    )
    await sleep((CAP_SECONDS + 2) * 1000)
    const second = await world.proxy.ask(asked.target)
    expectRight(asked, second)
    expect(second.cache).toBe('EXPIRED')
    expect(passagesOf(asked).length).toBe(2)
  })

  test('HEAD has the headers of GET, from the same copy (R5.32)', async () => {
    const { asked } = await fresh()
    const head = await world.proxy.ask(asked.target, { method: 'HEAD' })
    const got = await world.proxy.ask(asked.target)
    expect([head.cache, got.cache, head.body.length]).toEqual(['MISS', 'HIT', 0])
    for (const name of ['content-length', 'etag', 'expires', 'last-modified', 'date', 'cache-control'])
      expect(head.headers[name], name).toBe(got.headers[name])
    expectRight(asked, got)
  })

  test('a client that has the answer is told so by the copy (R6.11, R6.12)', async () => {
    const { asked } = await fresh()
    const { headers } = await world.proxy.ask(asked.target)
    const { etag = '', 'last-modified': lastModified = '' } = headers
    for (const condition of [
      { 'if-none-match': etag },
      { 'if-none-match': `"0", W/${etag}` },
      { 'if-none-match': '*' },
      { 'if-modified-since': lastModified },
    ]) {
      const got = await world.proxy.ask(asked.target, { headers: condition })
      expect([got.status, got.cache, got.body.length], JSON.stringify(condition)).toEqual([304, 'HIT', 0])
      expect(got.headers.etag).toBe(etag)
    }
    const other = await world.proxy.ask(asked.target, { headers: { 'if-none-match': '"0"' } })
    expectRight(asked, other)
  })

  test('nothing that is POSTed is kept, nor anything with a nonce (R6.14, R3.10)', async () => {
    const certificates = [await fresh(), await fresh()]
    for (const { asked } of [...certificates, ...certificates]) {
      const got = await world.proxy.ask('/', {
        method: 'POST',
        headers: { 'content-type': 'application/ocsp-request' },
        body: asked.der,
      })
      const sent = world.road.passages.findLast(({ method }) => method === 'POST')
      expect([got.cache, said(got), got.body.equals(sent?.body ?? Buffer.of())]).toEqual([
        undefined,
        'good',
        true,
      ])
      expect(faultOf({ asked, got }, [])).toBe('octets that the Worker never gave for this question')
    }
    expect(world.road.passages.filter(({ method }) => method === 'POST').length).toBe(4)
    const { serial } = await fresh()
    const withNonce = world.askOnce('capped', serial, true)
    for (const _ of [1, 2]) {
      const got = await world.proxy.ask(withNonce.target)
      expect([got.cache, got.headers['cache-control'], said(got)]).toEqual(['MISS', 'no-store', 'good'])
    }
    expect(passagesOf(withNonce).length).toBe(2)
    const { asked: usual } = await fresh()
    await world.proxy.ask(usual.target)
    while (!world.proxy.holds(usual.target)) await sleep(20)
    expect(world.proxy.holds(withNonce.target)).toBe(false)
    expect(world.proxy.holds('/')).toBe(false)
  })

  test('errors are asked for anew each time: a certificate is good as soon as it is recorded (R6.7, R2.14, R1.39)', async () => {
    const serial = randomSerial()
    const asked = world.askOnce('capped', serial)
    for (const _ of [1, 2, 3]) {
      const got = await world.proxy.ask(asked.target)
      expectRight(asked, got)
      expect([got.cache, said(got), got.headers['cache-control']]).toEqual([
        'MISS',
        'unauthorized',
        'no-store',
      ])
    }
    expect(passagesOf(asked).length).toBe(3)
    await world.record('capped', serial)
    const got = await world.proxy.ask(asked.target)
    expectRight(asked, got)
    expect(said(got)).toBe('good')
    for (const target of ['/MAAA', '/AAAA']) {
      const answers = [await world.proxy.ask(target), await world.proxy.ask(target)]
      expect(answers.map((got) => [got.cache, said(got)])).toEqual(
        answers.map(() => ['MISS', 'malformedRequest']),
      )
      expect(world.road.passages.filter((passage) => passage.target === target).length).toBe(2)
    }
  })

  test('a revocation is seen when max-age is over, or at once when the copy is purged (R6.5, R6.6)', async () => {
    const [one, other] = [await fresh(), await fresh()]
    const asks = [one, other].map(({ asked }) => asked)
    for (const asked of asks) expect(said(await world.proxy.ask(asked.target))).toBe('good')
    for (const { serial } of [one, other]) await world.revoke('capped', serial)
    await world.proxy.purge(one.asked.target)
    const purged = await world.proxy.ask(one.asked.target)
    expectRight(one.asked, purged)
    expect([purged.cache, said(purged)]).toEqual(['MISS', 'revoked'])
    await sleep((CAP_SECONDS + 2) * 1000)
    const later = await world.proxy.ask(other.asked.target)
    expectRight(other.asked, later)
    expect([later.cache, said(later)]).toEqual(['EXPIRED', 'revoked'])
  })

  test('every spelling is a copy of its own: purging one leaves the others, purging all leaves none (R6.6)', async () => {
    const serial = randomSerial()
    await world.record('plain', serial)
    const spellings = HASHES.flatMap((hash) => world.ask('plain', serial, hash))
    const all = async () => {
      const texts = []
      for (const asked of spellings) {
        const got = await world.proxy.ask(asked.target)
        expectRight(asked, got)
        texts.push(said(got))
      }
      return texts
    }
    expect(new Set(await all())).toEqual(new Set(['good']))
    await world.revoke('plain', serial)
    await world.proxy.purge(spellings[0]?.target ?? '')
    expect(await all()).toEqual(['revoked', ...spellings.slice(1).map(() => 'good')])
    // nginx puts a copy in its place after the client has its answer.
    for (const { target } of spellings) while (!world.proxy.holds(target)) await sleep(20)
    expect(await world.proxy.purgeAll()).toBeGreaterThanOrEqual(spellings.length)
    expect(new Set(await all())).toEqual(new Set(['revoked']))
  })

  test('a Worker that is away is an error when max-age is over, never an old answer (R6.9)', async () => {
    const { asked } = await fresh()
    const first = await world.proxy.ask(asked.target)
    world.road.isClosed = true
    const held = await world.proxy.ask(asked.target)
    expectRight(asked, held)
    expect(held.cache).toBe('HIT')
    await sleep((CAP_SECONDS + 2) * 1000)
    const away = await world.proxy.ask(asked.target)
    world.road.isClosed = false
    expect(away.status).toBe(502)
    expect(away.body.includes(first.body)).toBe(false)
    const back = await world.proxy.ask(asked.target)
    expectRight(asked, back)
    expect(back.cache).toBe('EXPIRED')
  })

  test('with proxy_cache_revalidate: 304 makes a copy last for the max-age of the 304, and a new answer replaces it (R6.11, R6.12)', async () => {
    const { serial, asked } = await fresh()
    const ask = async () => {
      const got = await world.proxy.ask(asked.target, { setting: 'revalidating' })
      expectRight(asked, got)
      return { got, told: [got.cache, said(got)], last: passagesOf(asked).at(-1) }
    }
    const whenOver = () => sleep((CAP_SECONDS + 2) * 1000)
    const first = await ask()
    expect(first.told).toEqual(['MISS', 'good'])
    await whenOver()
    const second = await ask()
    expect(second.told).toEqual(['REVALIDATED', 'good'])
    const { etag, 'last-modified': lastModified, expires } = first.got.headers
    expect(second.last?.asked).toMatchObject({ 'if-none-match': etag, 'if-modified-since': lastModified })
    expect(second.last?.status).toBe(304)
    expect(second.last?.headers).toMatchObject({
      etag,
      expires,
      'cache-control': `max-age=${CAP_SECONDS}, public, no-transform, must-revalidate`,
    })
    expect((await ask()).told).toEqual(['HIT', 'good'])
    expect(passagesOf(asked).length).toBe(2)
    await world.revoke('capped', serial)
    await whenOver()
    const revoked = await ask()
    expect(revoked.told).toEqual(['EXPIRED', 'revoked'])
    expect(revoked.last?.asked['if-none-match']).toBe(etag)
    expect((await ask()).told).toEqual(['HIT', 'revoked'])
  })

  describe('the whole life of responses, every path asked for several times a second', () => {
    let plain: readonly Asked[]
    let other: readonly Asked[]
    let revoked: readonly Asked[]
    let spared: readonly Asked[]
    let recorded: readonly Asked[]
    let slow: Asked
    let samples: readonly Sample[]
    let rewritten: readonly Sample[]
    let recordedAt = 0
    beforeAll(async () => {
      const { steady, doomed } = world.serials
      await world.record('plain', steady)
      await world.record('plain', doomed)
      await world.record('other', steady, 'revoked')
      await world.record('other', doomed)
      slow = (await fresh('plain')).asked
      world.road.delays.set(slow.target, SLOW_MS)
      await world.presign()
      plain = HASHES.flatMap((hash) => world.ask('plain', steady, hash))
      other = HASHES.flatMap((hash) => world.ask('other', steady, hash))
      revoked = world.ask('plain', doomed)
      spared = world.ask('other', doomed)
      const late = randomSerial()
      recorded = [world.askOnce('plain', late), world.askOnce('unknowing', late)]
      const walking = walk(world.proxy, [...plain, ...other, ...revoked, ...spared, ...recorded, slow])
      const rewriting = walk(world.proxy, [...plain, ...other], 'rewriting')
      await sleep(8_000)
      await world.record('plain', late)
      await world.record('unknowing', late)
      recordedAt = Date.now()
      await sleep(4_000)
      await world.revoke('plain', doomed)
      samples = await walking
      rewritten = await rewriting
    })

    const of = (asked: Asked, all = samples) => all.filter((sample) => sample.asked === asked)
    const told = (asked: Asked) => of(asked).map(({ got }) => said(got))
    const faults = (all: readonly Sample[], isOwn?: () => true) =>
      all.flatMap((sample) => {
        const fault = faultOf(sample, world.road.passages, isOwn)
        return fault === undefined ? [] : [`${sample.asked.name}: ${fault}`]
      })

    test('none is past its nextUpdate, about another certificate or issuer, or held longer than its max-age (R6.1, R6.2, R2.10, R6.20)', () => {
      expect(faults(samples)).toEqual([])
      for (const asked of [...plain, ...other, ...spared, slow]) {
        const bodies = new Set(of(asked).map(({ got }) => got.body.toString('base64')))
        expect(bodies.size, `${asked.name} was renewed`).toBeGreaterThan(1)
      }
    })

    test('nor when each answer is seconds on its way to nginx, which does not count them (R6.1, R6.20)', () => {
      const first = world.road.passages.find(({ target }) => target === slow.target)
      const date = Date.parse(first?.headers.date ?? '')
      expect((first?.at ?? 0) - date).toBeGreaterThanOrEqual(SLOW_MS)
      expect(of(slow).filter(({ got }) => got.cache === 'HIT').length).toBeGreaterThan(50)
      expect(faults(of(slow))).toEqual([])
    })

    test('the proxy takes the load: the Worker is asked once for a life (R2.7)', () => {
      for (const asked of plain) {
        const hits = of(asked).filter(({ got }) => got.cache === 'HIT').length
        expect(hits / of(asked).length, asked.name).toBeGreaterThan(0.8)
      }
    })

    test('the same serial number under two issuers: each has its own status in every spelling (R6.14, R8.2)', () => {
      for (const asked of plain) expect(new Set(told(asked)), asked.name).toEqual(new Set(['good']))
      for (const asked of other) expect(new Set(told(asked)), asked.name).toEqual(new Set(['revoked']))
      for (const asked of spared) expect(new Set(told(asked)), asked.name).toEqual(new Set(['good']))
    })

    test('a revocation replaces every copy when its max-age is over, and none is good again (R6.5, R6.15)', () => {
      for (const asked of revoked)
        expect(
          told(asked).filter((text, at, all) => text !== all[at - 1]),
          asked.name,
        ).toEqual(['good', 'revoked'])
    })

    test('what was unauthorized is good with the first question after it is recorded; what was unknown, when max-age is over (R6.7, R6.8)', () => {
      const [unauthorized, unknown] = recorded.map((asked) => of(asked))
      const after = unauthorized?.filter(({ got }) => got.askedAt >= recordedAt) ?? []
      expect(new Set(after.map(({ got }) => said(got)))).toEqual(new Set(['good']))
      const before = unauthorized?.filter(({ got }) => got.receivedAt < recordedAt - 2_000) ?? []
      expect(new Set(before.map(({ got }) => said(got)))).toEqual(new Set(['unauthorized']))
      const texts = unknown?.map(({ got }) => said(got)) ?? []
      expect(texts.filter((text, at) => text !== texts[at - 1])).toEqual(['unknown', 'good'])
    })

    test('a proxy that decodes paths, merges slashes and keeps copies by the result mixes nothing up (R5.3, R5.4, R6.14)', () => {
      expect(faults(rewritten, () => true)).toEqual([])
      for (const [questions, status] of [
        [plain, 'good'],
        [other, 'revoked'],
      ] as const)
        for (const asked of questions) {
          const texts = new Set(of(asked, rewritten).map(({ got }) => said(got)))
          expect(texts, asked.name).toEqual(new Set([status]))
        }
    })
  })
}
