/** Records of issuers in an isolate's memory: as many as there is room for, however many there are. */
import { expect, test } from 'vitest'
import { decodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { OverlayRoot } from '../../src/overlay/root.ts'
import { encodeRoot } from '../../src/overlay/root-encoder.ts'
import { OverlayView } from '../../src/overlay/view.ts'
import type { IssuerRecord } from '../../src/ports/records.ts'
import { IssuerDirectory } from '../../src/responder/issuers.ts'
import { Seen } from '../../src/responder/seen.ts'
import { manyHashes, overlayIssuer } from '../overlay/issuers.ts'
import { newIssuer } from '../storage/fixtures.ts'
import { EPOCH, VirtualClock } from '../support/clock.ts'
import { noPages } from '../support/no-pages.ts'
import { requestFor } from '../support/world-requests.ts'

const COUNT = 1_500

function record(id: number, certificateOctets: number): IssuerRecord {
  return {
    ...newIssuer({ name: `ca-${id}`, hashes: manyHashes(id) }),
    ...{ id, configRev: id * 1_000 + 3, responders: [] },
    certificate: new Uint8Array(certificateOctets),
  }
}

/** A directory over issuers that are all in the root, and how often their records were read. */
function directoryOf(count: number, certificateOctets: number) {
  const reads: number[] = []
  const issuers = Array.from({ length: count }, (_, i) => overlayIssuer(i + 1))
  const snapshot = { position: 1, issuers, pages: [], segments: [], floors: [], items: [] }
  const root = OverlayRoot.open(encodeRoot(snapshot, 1, EPOCH * 1000, 7))
  const view = new OverlayView(root, noPages(new VirtualClock()))
  const directory = new IssuerDirectory({
    derived: { readIssuerPage: async () => null },
    status: {
      async readIssuer(id) {
        reads.push(id)
        return record(id, certificateOctets)
      },
    },
    decodePage: () => {
      throw new Error('there is no page')
    },
    background: () => undefined,
  })
  const seen = new Seen()
  const requests = issuers.map(({ id }) =>
    decodeOCSPRequest(requestFor(record(id, 0), [Uint8Array.of(0x21, 1)])),
  )
  return {
    reads,
    ask: async (id: number) => {
      const request = requests[id - 1]
      if (request === undefined) throw new RangeError(`no issuer ${id}`)
      return (await directory.resolve(request, view, seen, EPOCH)).issuer.id
    },
    isInMemory: (id: number) => {
      const request = requests[id - 1]
      return request !== undefined && directory.resolveAtOnce(request, view, seen, EPOCH) !== undefined
    },
  }
}

test('a thousand records are kept, and those that are asked for stay', async () => {
  const { ask, reads, isInMemory } = directoryOf(COUNT, 900)
  for (let id = 1; id <= COUNT; id += 1) {
    expect(await ask(id)).toBe(id)
    await ask(1)
  }
  expect(reads).toHaveLength(COUNT) // the first was never read twice
  const kept = Array.from({ length: COUNT }, (_, i) => i + 1).filter(isInMemory)
  expect(kept).toHaveLength(1_000)
  expect(kept.slice(0, 2)).toEqual([1, COUNT - 998])
  expect(await ask(2)).toBe(2)
  expect(reads).toHaveLength(COUNT + 1)
})

test('of large records as many are kept as weigh 16 MB', async () => {
  const { ask, isInMemory } = directoryOf(100, 1024 * 1024)
  for (let id = 1; id <= 100; id += 1) await ask(id)
  const kept = Array.from({ length: 100 }, (_, i) => i + 1).filter(isInMemory)
  expect(kept).toHaveLength(15)
  expect(kept.at(-1)).toBe(100)
})
