import { beforeEach, describe, expect, test } from 'vitest'
import { type PageKind, PageMemory } from '../../src/overlay/page-memory.ts'
import { VirtualClock } from '../support/clock.ts'

interface Text {
  readonly text: string
  readonly byteLength: number
}

let clock: VirtualClock
let kv: Map<string, Uint8Array>
let cached: Map<string, Uint8Array>
let reads: { kv: number; cache: number; record: number }
let background: Promise<unknown>[]
let kvAway: boolean

const bytes = (text: string) => new TextEncoder().encode(text)
const open = (octets: Uint8Array): Text => {
  const text = new TextDecoder().decode(octets)
  if (text.startsWith('torn')) throw new Error('torn')
  return { text, byteLength: octets.length }
}

function memory(kind: Partial<PageKind<Text>> = {}): PageMemory<Text> {
  const ports = {
    derived: {
      async readPage(name: string) {
        reads.kv += 1
        if (kvAway) throw new Error('KV is away')
        return kv.get(name) ?? null
      },
    },
    cache: {
      async match(name: string) {
        reads.cache += 1
        return cached.get(name)
      },
      async put(name: string, value: Uint8Array) {
        cached.set(name, value)
      },
    },
    clock,
    background: (work: Promise<unknown>) => background.push(work),
  }
  return new PageMemory(ports, { open, maxBytes: 100_000, ...kind })
}

beforeEach(() => {
  clock = new VirtualClock()
  kv = new Map([['a', bytes('A')]])
  cached = new Map()
  reads = { kv: 0, cache: 0, record: 0 }
  background = []
  kvAway = false
})

describe('a value that a root names', () => {
  test('comes from KV once, by however many requests, and from memory ever after', async () => {
    const pages = memory()
    expect(pages.get('a')).toBeUndefined()
    const all = await Promise.all(Array.from({ length: 20 }, () => pages.load('a')))
    expect(new Set(all).size).toBe(1)
    expect(pages.get('a')).toBe(all[0])
    await pages.load('a')
    expect(reads).toMatchObject({ kv: 1, cache: 1 })
  })

  test('goes to the cache of the data centre, where another isolate finds it', async () => {
    await memory().load('a')
    await Promise.all(background)
    expect((await memory().load('a'))?.text).toBe('A')
    expect(reads).toMatchObject({ kv: 1, cache: 2 })
  })

  test('that is torn in the cache is read from KV, and one that is torn there is as good as absent', async () => {
    cached.set('a', bytes('torn'))
    expect((await memory().load('a'))?.text).toBe('A')
    kv.set('b', bytes('torn'))
    expect(await memory().load('b')).toBeUndefined()
  })

  test('that no tier has is not asked for again for half a minute, then it is', async () => {
    const pages = memory()
    const all = await Promise.all(Array.from({ length: 20 }, () => pages.load('b')))
    expect(all.every((page) => page === undefined)).toBe(true)
    expect(reads.kv).toBe(1)
    kv.set('b', bytes('B'))
    clock.advance(29_999)
    expect(await pages.load('b')).toBeUndefined()
    expect(reads.kv).toBe(1)
    clock.advance(1)
    expect((await pages.load('b'))?.text).toBe('B')
  })

  test('is made out of the record where there is a way to, and a failure of that is one of all tiers', async () => {
    let isAway = false
    const pages = memory({
      async rebuild(name) {
        reads.record += 1
        if (isAway) throw new Error('D1 is away')
        return open(bytes(`record ${name}`))
      },
    })
    kvAway = true
    expect((await pages.load('a'))?.text).toBe('record a')
    expect((await pages.load('a'))?.text).toBe('record a')
    expect(reads.record).toBe(1)
    isAway = true
    expect(await pages.load('b')).toBeUndefined()
    expect(await pages.load('b')).toBeUndefined()
    expect(reads.record).toBe(2)
  })

  test('is forgotten when there is no room, the least recently used first', async () => {
    for (let i = 0; i < 50; i += 1) kv.set(`p${i}`, bytes('x'.repeat(600)))
    const pages = memory({ maxBytes: 20_000 }) // twenty of them
    for (let i = 0; i < 20; i += 1) await pages.load(`p${i}`)
    expect(pages.bytes).toBeLessThanOrEqual(20_000)
    expect(pages.get('p0')).toBeDefined() // and so it is the most recently used
    await pages.load('p20')
    expect(pages.get('p0')).toBeDefined()
    expect(pages.get('p1')).toBeUndefined()
    for (let i = 21; i < 50; i += 1) await pages.load(`p${i}`)
    expect(pages.get('p0')).toBeUndefined()
    expect(pages.bytes).toBeLessThanOrEqual(20_000)
  })
})
