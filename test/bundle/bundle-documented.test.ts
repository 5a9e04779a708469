import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'
import { serialHash } from '../../src/bundle/slot.ts'

const page = readFileSync(`${import.meta.dirname}/../../docs/bundle-format.md`, 'utf8')
const documented = fromHex(/```hex\n([^`]*)```/.exec(page)?.[1] ?? '')

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (octet) => Number.parseInt(octet, 16))
}

/** What the page says that its example holds. */
const CONTENT = {
  issuer: 1,
  k: 0,
  slot: 0,
  asOf: 1_795_219_200_000_000,
  variants: [
    {
      hashAlgorithm: 'SHA-1',
      issuerNameHash: new Uint8Array(20).fill(0x11),
      issuerKeyHash: new Uint8Array(20).fill(0x22),
    },
  ],
  responders: [
    {
      id: 2,
      keyHash: new Uint8Array(20).fill(0x33),
      signatureAlgorithm: fromHex('300506032b6570'),
      certs: [],
    },
  ],
  windows: [
    { responder: 0, thisUpdate: 1_795_219_200, producedAt: 1_795_219_500, nextUpdate: 1_795_823_999 },
  ],
  entries: [
    {
      serial: Uint8Array.of(0x10, 0x01),
      certStatus: { type: 'good' },
      window: 0,
      signatures: [new Uint8Array(64).fill(0xaa)],
    },
    {
      serial: Uint8Array.of(0x10, 0x02),
      certStatus: { type: 'revoked', revocationTime: 1_795_215_600, revocationReason: 1 },
      window: 0,
      signatures: [new Uint8Array(64).fill(0xbb)],
    },
  ],
} as const

describe('the example in docs/bundle-format.md', () => {
  test('is what the writer makes of the content that it names', async () => {
    expect(await encodeBundle(CONTENT)).toEqual(documented)
  })

  test('is read as the content that it names', async () => {
    const bundle = Bundle.open(documented)
    const { entries, ...header } = CONTENT
    expect(bundle).toMatchObject(header)
    for (const entry of entries) expect(bundle.find(entry.serial, serialHash(entry.serial))).toEqual(entry)
    expect(await bundle.verifyDigest()).toBe(true)
  })
})
