import { beforeAll, describe, expect, test } from 'vitest'
import { DISAGREEMENTS, type Other } from './disagreements.ts'
import { judgeOurs, type Message, opensslAccepts, opensslVersion, pkijsAccepts } from './judges.ts'
import { readManifest, readVector, type Vector, vectorsRoot } from './manifest.ts'

interface Case {
  readonly vector: Vector
  readonly message: Message
  readonly der: Uint8Array
}

const root = vectorsRoot()
const openssl = opensslVersion()
const required = process.env['EDGE_OCSP_REQUIRE_CLIENTS'] === '1'

if (root === undefined) {
  const reason = 'EDGE_OCSP_VECTORS is not set, so no real requests and responses are read'
  console.warn(`skipped: ${reason}`)
  test.skip(reason, () => undefined)
} else {
  const cases = readManifest(root).flatMap((vector): Case[] => {
    const messages: Message[] = vector.kind === 'malformed' ? ['request', 'response'] : [vector.kind]
    return messages.map((message) => ({ vector, message, der: readVector(vector) }))
  })
  describeVectors(cases)
}

function describeVectors(cases: readonly Case[]): void {
  const wellFormed = cases.filter(({ vector }) => vector.kind !== 'malformed')
  const malformed = cases.filter(({ vector }) => vector.kind === 'malformed')
  const opensslSays = new Map<Case, boolean>()

  beforeAll(async () => {
    if (openssl === undefined) return
    const verdicts = await opensslAccepts(cases)
    cases.forEach((item, i) => {
      opensslSays.set(item, verdicts[i] ?? false)
    })
  }, 120_000)

  test('the manifest has requests, responses and malformed octets', () => {
    expect(wellFormed.length).toBeGreaterThan(100)
    expect(malformed.length).toBeGreaterThan(100)
  })

  describe('a well-formed message decodes and re-encodes byte for byte', () => {
    const agreed = wellFormed.filter(({ vector }) => !oursRefuses(vector.file))
    test.each(agreed.map((item) => ({ name: `${item.vector.file} (${item.vector.shows})`, item })))(
      '$name',
      ({ item }) => {
        expect(judgeOurs(item.message, item.der)).toEqual(item.der)
      },
    )
  })

  test('malformed octets end in a typed error, as request and as response (R1.1)', () => {
    const accepted = malformed.filter(({ message, der }) => judgeOurs(message, der) instanceof Uint8Array)
    expect(accepted.map(({ vector }) => vector.file)).toEqual([])
  })

  test('who disagrees stands in the reviewed table, and nobody else does', () => {
    const found: Record<string, { ours: string; others: Other[] }> = {}
    for (const item of cases) {
      const verdict = judgeOurs(item.message, item.der)
      const ours = verdict instanceof Uint8Array
      const others: Other[] = []
      if (ours !== (item.vector.kind !== 'malformed')) others.push('manifest')
      if (opensslSays.has(item) && ours !== opensslSays.get(item)) others.push('openssl')
      if (ours !== pkijsAccepts(item.message, item.der)) others.push('pkijs')
      if (others.length > 0) found[item.vector.file] = { ours: ours ? 'accepts' : verdict.reason, others }
    }
    expect(found).toEqual(expectedTable())
  })

  // The table's openssl column was reviewed with 3.0.19: without openssl it is not looked at.
  test.skipIf(openssl === undefined && !required)(
    `openssl judged every vector: ${openssl ?? 'not installed'}`,
    () => {
      expect(openssl).toBeDefined()
      expect(opensslSays.size).toBe(cases.length)
    },
  )
}

function oursRefuses(file: string): boolean {
  const entry = DISAGREEMENTS[file]
  return entry !== undefined && entry.ours !== 'accepts'
}

function expectedTable(): Record<string, { ours: string; others: Other[] }> {
  const table: Record<string, { ours: string; others: Other[] }> = {}
  for (const [file, { ours, others }] of Object.entries(DISAGREEMENTS)) {
    const seen = others.filter((other) => other !== 'openssl' || openssl !== undefined)
    if (seen.length > 0) table[file] = { ours, others: seen }
  }
  return table
}
