import { describe, expect, test } from 'vitest'
import { adminApp } from '../../src/http/admin.ts'
import { secretsEqual } from '../../src/http/auth.ts'
import { adminWorld, at, ORIGIN, TOKEN } from './admin-world.ts'

async function ask(url: string, headers: Record<string, string>, overrides = {}) {
  const response = await adminApp(adminWorld(overrides).deps).fetch(new Request(url, { headers }))
  const json: unknown = await response.json()
  return { status: response.status, headers: response.headers, code: at(json, 'error.code'), json }
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
const STATUS = '/admin/v1/status'

describe('authentication of the admin API', () => {
  test.each([
    ['no Authorization header', {}],
    ['another scheme', { Authorization: `Basic ${TOKEN}` }],
    ['a wrong token', bearer('wrong')],
    ['a token that is a prefix of the right one', bearer(TOKEN.slice(0, -1))],
    ['a token that the right one is a prefix of', bearer(`${TOKEN}0`)],
    ['an empty token', { Authorization: 'Bearer ' }],
  ])('answers 401 with a challenge to %s', async (_what, headers: Record<string, string>) => {
    const answer = await ask(ORIGIN + STATUS, headers)
    expect(answer.status).toBe(401)
    expect(answer.code).toBe('unauthorized')
    expect(answer.headers.get('WWW-Authenticate')).toMatch(/^Bearer realm="edge-ocsp"/)
    expect(answer.headers.get('Cache-Control')).toBe('no-store')
    expect(JSON.stringify(answer.json)).not.toContain(TOKEN)
  })

  test('takes the right token, whatever the case of the scheme', async () => {
    expect((await ask(ORIGIN + STATUS, bearer(TOKEN))).status).toBe(200)
    expect((await ask(ORIGIN + STATUS, { Authorization: `bearer ${TOKEN}` })).status).toBe(200)
  })

  test('takes a secret that was stored with a line feed at its end', async () => {
    expect((await ask(ORIGIN + STATUS, bearer(TOKEN), { adminToken: `${TOKEN}\n` })).status).toBe(200)
  })

  test('asks for the token before it says whether a path exists', async () => {
    expect((await ask(`${ORIGIN}/admin/v1/nowhere`, {})).status).toBe(401)
    expect((await ask(`${ORIGIN}/admin/v1/nowhere`, bearer(TOKEN))).status).toBe(404)
  })

  test.each([
    ['http://ocsp.example', 403],
    ['http://127.0.0.1.example', 403],
    ['http://127.0.0.2', 403],
    ['https://ocsp.example', 200],
    ['http://127.0.0.1:8787', 200],
    ['http://localhost:8787', 200],
    ['http://[::1]:8787', 200],
  ])('over %s answers %i to the right token: plain HTTP only on loopback', async (origin, status) => {
    expect((await ask(origin + STATUS, bearer(TOKEN))).status).toBe(status)
  })

  test('does not believe a proxy header about the transport', async () => {
    const headers = { ...bearer(TOKEN), 'X-Forwarded-Proto': 'https', 'CF-Visitor': '{"scheme":"https"}' }
    const answer = await ask(`http://ocsp.example${STATUS}`, headers)
    expect([answer.status, answer.code]).toEqual([403, 'insecureTransport'])
  })

  test('answers on ADMIN_HOST alone, 404 elsewhere', async () => {
    const bound = { adminHost: 'Admin.example' }
    expect((await ask(`https://admin.example${STATUS}`, bearer(TOKEN), bound)).status).toBe(200)
    const elsewhere = await ask(ORIGIN + STATUS, bearer(TOKEN), bound)
    expect([elsewhere.status, elsewhere.code]).toEqual([404, 'notFound'])
  })

  test.each([undefined, '', ' \n'])(
    'names the missing secret ADMIN_TOKEN with 503 (%j)',
    async (adminToken) => {
      const answer = await ask(ORIGIN + STATUS, bearer(''), { adminToken })
      expect([answer.status, answer.code]).toEqual([503, 'secretMissing'])
      expect(at(answer.json, 'error.message')).toContain('ADMIN_TOKEN')
    },
  )

  test('compares secrets of any length', async () => {
    expect(await secretsEqual('', '')).toBe(true)
    expect(await secretsEqual('a', 'a'.repeat(100_000))).toBe(false)
    expect(await secretsEqual('ä', 'ä')).toBe(true)
  })
})
