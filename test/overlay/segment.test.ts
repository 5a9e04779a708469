/** Values of a segment: what is put in is found, torn and foreign values are none, pages weigh what a reader can bear. */
import { describe, expect, test } from 'vitest'
import {
  firstHash,
  pageOf,
  SEGMENT_PAGE_HEADER_BYTES,
  SegmentPage,
  SegmentPageFault,
  SegmentWriter,
  secondHash,
  segmentPageName,
} from '../../src/overlay/segment.ts'
import { Random } from '../support/clock.ts'

const SEQ = 1_795_230_000_000_000
const VERSION = 1_795_230_000_123
const serialOf = (n: number) => Uint8Array.of(0x51, n >>> 24, n >>> 16, n >>> 8, n)

interface Written {
  readonly writer: SegmentWriter
  readonly pages: ReadonlyMap<string, Uint8Array>
  need(issuer: number, serial: Uint8Array): number
}

function write(
  kind: 'items' | 'filter',
  changes: readonly { issuer: number; serial: Uint8Array; seq: number }[],
  { seed = 7, expected = changes.length } = {},
): Written {
  const writer = new SegmentWriter(kind, VERSION, seed, expected)
  for (const { issuer, serial, seq } of changes) writer.add(issuer, serial, seq)
  const pages = new Map([...writer.pages()].map(({ name, bytes }) => [name, bytes]))
  const opened = new Map([...pages].map(([name, bytes]) => [name, SegmentPage.open(bytes, name)]))
  return {
    writer,
    pages,
    need(issuer, serial) {
      const h1 = firstHash(writer.segment, issuer, serial)
      const page = opened.get(segmentPageName(VERSION, pageOf(writer.segment.bits, h1)))
      if (page === undefined) throw new Error('a page that was not written')
      return page.need(h1, secondHash(writer.segment, issuer, serial), writer.lastSeq)
    },
  }
}

const changesOf = (count: number, random: Random, issuers = 3) =>
  Array.from({ length: count }, (_, n) => ({
    issuer: 1 + (n % issuers),
    serial: serialOf(n),
    seq: SEQ + random.between(1, 100_000),
  }))

describe('a segment of items', () => {
  test.each([0, 1, 0xffff_ffff])('says the seq of each of its items, and of no other (seed %i)', (seed) => {
    const changes = changesOf(5_000, new Random(seed))
    const { need, writer } = write('items', changes, { seed })
    for (const { issuer, serial, seq } of changes) expect(need(issuer, serial)).toBe(seq)
    for (let n = 5_000; n < 8_000; n += 1) expect(need(1, serialOf(n))).toBe(0)
    expect(need(2, serialOf(0))).toBe(0) // issuer 1 has it
    expect(writer).toMatchObject({ count: 5_000, lastSeq: Math.max(...changes.map(({ seq }) => seq)) })
  })

  test('of two changes of a serial the later counts', () => {
    const twice = [SEQ + 3, SEQ + 9, SEQ + 5].map((seq) => ({ issuer: 1, serial: serialOf(1), seq }))
    expect(write('items', twice).need(1, serialOf(1))).toBe(SEQ + 9)
  })

  test.each([0, 1, 100, 2_000, 5_000, 40_000])('%i items make pages of about 16 to 32 KB', (count) => {
    const { pages, writer } = write('items', changesOf(count, new Random(count)))
    expect(pages.size).toBe(2 ** writer.segment.bits)
    const sizes = [...pages.values()].map(({ length }) => length)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(
      pages.size * SEGMENT_PAGE_HEADER_BYTES + count * 16,
    )
    expect(Math.max(...sizes)).toBeLessThan(36_000)
    if (pages.size > 1) expect(Math.min(...sizes)).toBeGreaterThan(13_000)
  })

  test('more than was expected is all in it', () => {
    const changes = changesOf(3_000, new Random(3))
    const { need } = write('items', changes, { expected: 10 })
    for (const { issuer, serial, seq } of changes) expect(need(issuer, serial)).toBe(seq)
  })
})

describe('a filter', () => {
  test.each([1, 10, 3_000, 60_000])(
    'of %i serials never misses one, and takes about one in a hundred others for one (attack 12)',
    (count) => {
      const changes = changesOf(count, new Random(count), 1)
      const { need, writer, pages } = write('filter', changes)
      for (const { serial } of changes) if (need(1, serial) !== writer.lastSeq) throw new Error('missed')
      let falsely = 0
      for (let n = 0; n < 20_000; n += 1) if (need(1, serialOf(0x2000_0000 + n)) > 0) falsely += 1
      expect(falsely).toBeLessThan(20_000 * 0.015)
      if (count >= 3_000) expect(falsely).toBeGreaterThan(20_000 * 0.003)
      for (const { length } of pages.values())
        expect(length).toBeLessThanOrEqual(32_768 + SEGMENT_PAGE_HEADER_BYTES)
    },
  )

  test('never misses one, whatever the seed and however many more came than were expected', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const random = new Random(seed)
      const changes = Array.from({ length: random.between(1, 400) }, () => ({
        issuer: 9,
        serial: random.octets(random.between(1, 20)),
        seq: SEQ + random.between(1, 1_000),
      }))
      const { need, writer } = write('filter', changes, {
        seed: random.uint32(),
        expected: random.between(0, 500),
      })
      for (const { serial } of changes) expect(need(9, serial)).toBe(writer.lastSeq)
    }
  })

  test('a million serials are 1.25 MB in pages of about 20 KB', () => {
    const writer = new SegmentWriter('filter', VERSION, 1, 1_000_000)
    const sizes = [...writer.pages()].map(({ bytes }) => bytes.length)
    expect(sizes).toHaveLength(64)
    expect(Math.max(...sizes)).toBeLessThan(20_000)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(1_256_000)
  })
})

describe('a value that is not what its name says', () => {
  const written = (['items', 'filter'] as const).map((kind) => {
    const [first] = write(kind, changesOf(40, new Random(4), 1)).pages
    if (first === undefined) throw new Error('no page')
    return first
  })

  test('any bit that is another is found out', () => {
    for (const [name, bytes] of written)
      for (let i = 0; i < bytes.length; i += 1) {
        const torn = Uint8Array.from(bytes)
        torn[i] = (torn[i] ?? 0) ^ (1 << (i % 8))
        expect(() => SegmentPage.open(torn, name), `octet ${i}`).toThrow(SegmentPageFault)
      }
  })

  test('truncated, longer, foreign values and those of another name are none', () => {
    for (const [name, bytes] of written) {
      for (let length = 0; length < bytes.length; length += 1)
        expect(() => SegmentPage.open(bytes.subarray(0, length), name)).toThrow(SegmentPageFault)
      expect(() => SegmentPage.open(Uint8Array.of(...bytes, 0), name)).toThrow(SegmentPageFault)
      expect(() => SegmentPage.open(bytes, segmentPageName(VERSION, 1))).toThrow('badName')
      expect(() => SegmentPage.open(bytes, segmentPageName(VERSION + 1, 0))).toThrow('badName')
    }
    const random = new Random(1)
    for (let i = 0; i < 50; i += 1)
      expect(() => SegmentPage.open(random.octets(200), 'o/s/1/0')).toThrow(SegmentPageFault)
  })

  test('reads in place from the middle of a larger buffer', () => {
    const changes = changesOf(40, new Random(4), 1)
    const { writer, pages } = write('items', changes)
    for (const [name, bytes] of pages) {
      const buffer = new Uint8Array(bytes.length + 20)
      buffer.set(bytes, 7)
      const page = SegmentPage.open(buffer.subarray(7, 7 + bytes.length), name)
      for (const { issuer, serial, seq } of changes) {
        const h1 = firstHash(writer.segment, issuer, serial)
        expect(page.need(h1, secondHash(writer.segment, issuer, serial), 0)).toBe(seq)
      }
    }
  })
})
