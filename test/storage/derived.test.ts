/** KV, the edge cache and the issuer page. */
import { describe, expect, test } from 'vitest'
import type { IssuerRecord } from '../../src/ports/records.ts'
import { CacheAPIEdgeCache } from '../../src/storage/edge-cache.ts'
import { decodeIssuerPage, encodeIssuerPage } from '../../src/storage/issuer-page.ts'
import { type KeyValue, KVDerivedStore } from '../../src/storage/kv-derived-store.ts'
import { NOW, NOW_MS, newIssuer, newResponder } from './fixtures.ts'

const BYTES = Uint8Array.of(1, 2, 3)

describe('KV', () => {
  const calls: unknown[][] = []
  const values = new Map<string, ArrayBuffer>()
  const kv: KeyValue = {
    async get(key, options) {
      calls.push(['get', key, options])
      return values.get(key) ?? null
    },
    async put(key, value, options) {
      calls.push(['put', key, options])
      values.set(
        key,
        ArrayBuffer.isView(value) ? Uint8Array.from(new Uint8Array(value.buffer)).buffer : value,
      )
    },
  }
  const store = new KVDerivedStore(kv, { nowMs: () => NOW_MS })

  test('keys, cache times and expirations are as docs/storage.md says', async () => {
    await store.writeRoot(BYTES)
    await store.writeIssuerPage(3, BYTES)
    await store.writeBundle(3, 4, 15, BYTES, NOW + 3600)
    await store.writeBundle(3, 4, 0, BYTES, NOW + 1)
    expect([await store.readRoot(), await store.readIssuerPage(3), await store.readBundle(3, 4, 15)]).toEqual(
      [BYTES, BYTES, BYTES],
    )
    expect(await store.readBundle(3, 5, 15)).toBeNull()
    expect(calls).toEqual([
      ['put', 'o/root', undefined],
      ['put', 'i/3', undefined],
      ['put', 'b/3/4/15', { expiration: NOW + 3600 }],
      ['put', 'b/3/4/0', { expiration: NOW + 75 }],
      ['get', 'o/root', { type: 'arrayBuffer', cacheTtl: 30 }],
      ['get', 'i/3', { type: 'arrayBuffer', cacheTtl: 60 }],
      ['get', 'b/3/4/15', { type: 'arrayBuffer', cacheTtl: 60 }],
      ['get', 'b/3/5/15', { type: 'arrayBuffer', cacheTtl: 60 }],
    ])
  })

  test('a failure and a hang are unavailable, never null', async () => {
    const failing: KeyValue = {
      get: () => Promise.reject(new Error('KV GET failed: 503')),
      put: () => new Promise(() => undefined),
    }
    const broken = new KVDerivedStore(failing, { nowMs: () => NOW_MS }, { timeoutMs: 20 })
    await expect(broken.readRoot()).rejects.toMatchObject({ name: 'StorageError', reason: 'unavailable' })
    await expect(broken.writeRoot(BYTES)).rejects.toMatchObject({
      name: 'StorageError',
      reason: 'unavailable',
    })
  })
})

describe('edge cache', () => {
  test('keeps octets under keys of its own host, never under the URL of a request', async () => {
    const kept = new Map<string, Response>()
    const cache = new CacheAPIEdgeCache({
      match: async (key) => kept.get(key)?.clone(),
      put: async (key, response) => {
        kept.set(key, response)
      },
    })
    expect(await cache.match('b/3/0/0')).toBeUndefined()
    await cache.put('b/3/0/0', BYTES, 59.9)
    await cache.put('b/3/0/1', BYTES, 0)
    await cache.put('b/3/0/1', BYTES, -5)
    expect(await cache.match('b/3/0/0')).toEqual(BYTES)
    expect([...kept.keys()]).toEqual(['https://edge-ocsp.invalid/b/3/0/0'])
    expect(kept.get('https://edge-ocsp.invalid/b/3/0/0')?.headers.get('cache-control')).toBe(
      'public, max-age=59',
    )
  })

  test('a fault is a miss, and is reported', async () => {
    const seen: unknown[] = []
    const cache = new CacheAPIEdgeCache(
      { match: () => Promise.reject(new Error('away')), put: () => new Promise(() => undefined) },
      { timeoutMs: 20, onError: (operation, error) => seen.push([operation, error instanceof Error]) },
    )
    expect(await cache.match('x')).toBeUndefined()
    await cache.put('x', BYTES, 60)
    expect(seen).toEqual([
      ['match', true],
      ['put', true],
    ])
  })
})

describe('issuer page', () => {
  const record: IssuerRecord = {
    ...newIssuer(),
    id: 3,
    configRev: NOW_MS * 1000,
    responders: [
      { ...newResponder(), id: 1, retired: true },
      {
        ...newResponder({ certificate: undefined, custody: 'secret', secretName: 'KEY' }),
        id: 2,
        retired: false,
      },
    ],
  }

  test('comes back as it went', () => {
    expect(decodeIssuerPage(encodeIssuerPage(record))).toEqual(record)
  })

  test('any octet changed, and any length cut, is corrupt', () => {
    const page = encodeIssuerPage(record)
    for (let i = 0; i < page.length; i += 1) {
      const torn = Uint8Array.from(page)
      torn[i] = (torn[i] ?? 0) ^ 0x20
      expect(() => decodeIssuerPage(torn)).toThrow(expect.objectContaining({ reason: 'corrupt' }))
    }
    for (let length = 0; length < page.length; length += 7)
      expect(() => decodeIssuerPage(page.subarray(0, length))).toThrow(
        expect.objectContaining({ reason: 'corrupt' }),
      )
  })
})
