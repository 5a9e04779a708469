/** What stands in KV after a step, held against laws 3, 5 and 8: whole, no further than the record, and without a key. */
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { OverlayRoot } from '../../src/overlay/root.ts'
import { decodeIssuerPage } from '../../src/storage/issuer-page.ts'
import type { World } from './world.ts'
import { quiet } from './world-quiet.ts'

export class PublishedValues {
  readonly #world: World
  /** Positions that bundles of a slot were written for, whatever overwrote them. */
  readonly #built = new Map<string, Set<number>>()
  readonly #written: [key: string, bytes: Uint8Array][] = []

  constructor(world: World) {
    this.#world = world
    const { kv } = world
    for (const key of kv.keys()) {
      const bytes = kv.last(key)
      if (bytes !== undefined) this.#note(key, bytes)
    }
    kv.onPut = (key, bytes) => {
      this.#written.push([key, bytes])
      this.#note(key, bytes)
    }
  }

  #note(key: string, bytes: Uint8Array): void {
    if (!key.startsWith('b/')) return
    const { issuer, k, slot, asOf } = Bundle.open(bytes)
    const name = `${issuer}/${k}/${slot}`
    const known = this.#built.get(name) ?? new Set()
    this.#built.set(name, known.add(asOf))
  }

  /** Looks at what was written since the last time. */
  async check(): Promise<void> {
    for (const [key, bytes] of this.#written.splice(0)) {
      const problem = await this.#problem(key, bytes)
      if (problem !== undefined) this.#world.accuse(`${key}: ${problem}`)
    }
    const slots = 'SELECT issuer, k, slot, built_seq FROM slots WHERE built_seq > 0'
    for (const row of this.#world.record.rows(slots)) {
      const name = `${Number(row['issuer'])}/${Number(row['k'])}/${Number(row['slot'])}`
      if (this.#built.get(name)?.has(Number(row['built_seq'])) !== true)
        this.#world.accuse(`slot ${name} passes for built at a position that no bundle of it has (law 3)`)
    }
  }

  async #problem(key: string, bytes: Uint8Array): Promise<string | undefined> {
    if (this.#hasKey(bytes)) return 'a private key in KV (law 8)'
    if (key.startsWith('b/'))
      return (await Bundle.open(bytes).verifyDigest()) ? undefined : 'a torn bundle was published (law 5)'
    if (key.startsWith('i/'))
      return decodeIssuerPage(bytes).id > 0 ? undefined : 'a page of no issuer (law 5)'
    if (key !== 'o/root') return undefined
    const root = OverlayRoot.open(bytes)
    for (const { id, seq } of this.#world.record.rows('SELECT id, seq FROM issuers')) {
      const head = root.issuer(Number(id))?.head ?? 0
      if (head > Number(seq)) return `the root is ahead of the record: ${head} and ${String(seq)} (law 3)`
    }
    return undefined
  }

  #hasKey(bytes: Uint8Array): boolean {
    const octets = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return this.#world.issuers.some(({ pki }) => octets.includes(pki.responder.pkcs8.subarray(-32)))
  }
}

/**
 * All of KV and every cache is lost (law 3): the record and the keys bring back an answer for every certificate.
 * What is reserved has none, and nothing new is signed by an issuer without a valid responder.
 */
export async function loseEverythingDerived(world: World): Promise<void> {
  Object.assign(world.weather, { failShare: 0, pauseShare: 0, recordAwayUntilMs: 0, kvAwayUntilMs: 0 })
  for (const job of [...world.jobs]) await world.goOn(job, true)
  world.say('-- KV and caches are lost')
  world.kv.clear()
  for (const cache of world.caches) cache.clear()
  world.clock.advance(1_260_000) // leases of builders that died run out
  const place = world.makePlace(0)
  await world.publish(place)
  await world.presign(place, { all: true })
  world.kv.settle()
  const { seconds } = world.clock
  const able = new Set(
    world.record
      .rows(
        'SELECT issuer FROM responders WHERE retired = 0 AND not_before <= ?1 AND not_after > ?1 + 60',
        seconds,
      )
      .map(({ issuer }) => Number(issuer)),
  )
  for (const history of world.histories.values()) {
    const { status } = history
    if (status === undefined || status === 'reserved' || history.prunedMs !== undefined) continue
    const { responseStatus } = await world.ask(place, history, 'SHA-1')
    if (responseStatus !== 'successful' && able.has(history.issuer))
      world.accuse(`${history.key} is not answered once KV was lost: ${responseStatus} (law 3)`, history)
  }
  await quiet()
}
