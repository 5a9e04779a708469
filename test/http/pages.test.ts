import { expect, test } from 'vitest'
import { pagesApp } from '../../src/http/pages.ts'
import { StorageError } from '../../src/ports/errors.ts'

const DER = Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x05)

function pages(
  find: (name: string) => Uint8Array | undefined = (name) => (name === 'demo' ? DER : undefined),
) {
  const asked: string[] = []
  let nowMs = 0
  const app = pagesApp({
    clock: { nowMs: () => nowMs },
    async issuerCertificate(name) {
      asked.push(name)
      return find(name)
    },
  })
  return {
    asked,
    wait: (ms: number) => (nowMs += ms),
    get: (path: string, method = 'GET') => app.request(path, { method }),
  }
}

test('the page for people is HTML, short, and may be kept for a minute (R5.15)', async () => {
  const response = await pages().get('/')
  expect(response.headers.get('Content-Type')).toBe('text/html; charset=utf-8')
  expect(response.headers.get('Cache-Control')).toBe('public, max-age=60')
  const html = await response.text()
  expect(html).toContain('OCSP')
  expect(html.length).toBeLessThan(2000)
  expect(html).not.toMatch(/<script|https?:/)
})

test('an issuer certificate is DER of the registered type (RFC 5280 4.2.2.1)', async () => {
  const response = await pages().get('/issuers/demo.cer')
  expect(response.status).toBe(200)
  expect(response.headers.get('Content-Type')).toBe('application/pkix-cert')
  expect(response.headers.get('Cache-Control')).toBe('public, max-age=3600')
  expect(new Uint8Array(await response.arrayBuffer())).toEqual(DER)
})

test('HEAD answers as GET, without a body', async () => {
  const response = await pages().get('/issuers/demo.cer', 'HEAD')
  expect([response.status, await response.text()]).toEqual([200, ''])
})

test.each([
  '/issuers/other.cer',
  '/issuers/demo',
  '/issuers/.cer',
  '/issuers/de%2Fmo.cer',
  '/favicon.ico',
  '/robots.txt',
  '/x',
])('nothing at %s: 404 that nobody keeps (R6.21)', async (path) => {
  const response = await pages().get(path)
  expect([response.status, response.headers.get('Cache-Control')]).toEqual([404, 'no-store'])
})

test('the record is asked once a minute for a name, found or not', async () => {
  const { asked, get, wait } = pages()
  for (let i = 0; i < 5; i += 1) await get('/issuers/demo.cer')
  for (let i = 0; i < 5; i += 1) await get('/issuers/other.cer')
  expect(asked).toEqual(['demo', 'other'])
  wait(60_001)
  await get('/issuers/demo.cer')
  expect(asked).toEqual(['demo', 'other', 'demo'])
})

test('a store that fails is 503 with Retry-After, and is not remembered as "no such issuer" (law 4)', async () => {
  let down = true
  const { get } = pages(() => {
    if (down) throw new StorageError('unavailable', 'down')
    return DER
  })
  const response = await get('/issuers/demo.cer')
  expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '5'])
  down = false
  expect((await get('/issuers/demo.cer')).status).toBe(200)
})

test('a flood of made-up names does not become a flood of reads of the record', async () => {
  const { asked, get, wait } = pages()
  const statuses = new Set<number>()
  for (let i = 0; i < 500; i += 1) statuses.add((await get(`/issuers/made-up-${i}.cer`)).status)
  expect([asked.length, [...statuses]]).toEqual([120, [404, 503]])
  wait(60_000)
  expect((await get('/issuers/demo.cer')).status).toBe(200)
})
