/** What stands in KV after a step, held against laws 3, 5 and 8: whole, no further than the record, and without a key. */
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { DirectoryPage, directoryPageName } from '../../src/overlay/directory-page.ts'
import { OverlayRoot, type RootIssuer } from '../../src/overlay/root.ts'
import { HASH_ALGORITHMS, type HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { decodeIssuerPage } from '../../src/storage/issuer-page.ts'
import type { World } from './world.ts'
import { quiet } from './world-quiet.ts'

export class PublishedValues {
  readonly #world: World
  /** Positions that bundles of a slot were written for, whatever overwrote them. */
  readonly #built = new Map<string, Set<number>>()
  readonly #written: [key: string, bytes: Uint8Array][] = []
  /** Pages of the directory ever written, lost since or not. */
  readonly #pages = new Map<string, Uint8Array>()

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
    if (key.startsWith('d/')) {
      if (this.#pages.has(key)) this.#world.accuse(`${key} was written twice`)
      this.#pages.set(key, bytes)
    }
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
    if (key.startsWith('d/')) return DirectoryPage.open(bytes, key).size > 0 ? undefined : 'a page of nobody'
    if (key !== 'o/root') return undefined
    const root = OverlayRoot.open(bytes)
    for (const row of this.#world.record.rows('SELECT * FROM issuers'))
      for (const algorithm of HASH_ALGORITHMS) {
        const problem = this.#misstated(root, algorithm, row)
        if (problem !== undefined) return `issuer ${String(row['id'])} under ${algorithm}: ${problem}`
      }
    return undefined
  }

  /** What a root and its page say of an issuer, held against the record. */
  #misstated(root: OverlayRoot, algorithm: HashAlgorithm, row: Record<string, unknown>): string | undefined {
    const id = Number(row['id'])
    const seq = Number(row['seq'])
    const said = root.issuer(id) ?? this.#paged(root, algorithm, id)
    if (said === undefined) return 'in neither root nor page'
    if (said === 'no page') return 'the root names a page that was never written'
    if (said.head > seq) return `ahead of the record: ${said.head} and ${seq} (law 3)`
    if (said.head < seq)
      return seq < root.timeMs * 1000 ? `behind the record: ${said.head} and ${seq} (law 2)` : undefined
    const isSame =
      said.k === row['k'] &&
      said.configRev === row['config_rev'] &&
      said.floor >= Number(row['floor']) &&
      said.enabled === (row['enabled'] === 1)
    return isSame ? undefined : `not as it is recorded: ${JSON.stringify(said)} (law 2)`
  }

  #paged(root: OverlayRoot, algorithm: HashAlgorithm, id: number): RootIssuer | 'no page' | undefined {
    const issuer = this.#world.issuers.find(({ record }) => record.id === id)
    if (issuer === undefined) return undefined
    const { issuerKeyHash } = issuer.record.hashes[algorithm]
    const version = root.directoryPage(algorithm, issuerKeyHash)
    if (version === undefined) return undefined
    const name = directoryPageName({ algorithm, octet: issuerKeyHash[0] ?? 0, version })
    const bytes = this.#pages.get(name)
    return bytes === undefined ? 'no page' : DirectoryPage.open(bytes, name).issuer(id, issuerKeyHash)
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
