/**
 * What this isolate has told from beyond the overlay that it holds. An answer from the record, or from a bundle built a moment
 * ago, may know of a change that no published root names yet; until one does, this isolate must not answer the same serial
 * from anything older (law 2: no isolate goes back), whichever hash is asked and whichever tier would answer.
 */
import type { RootIssuer } from '../overlay/root.ts'
import type { Sequence } from '../ports/records.ts'

/** About a minute's worth of them is ever alive: then a root has caught up. */
const MAX_ENTRIES = 10_000

export class Seen {
  readonly #revisions = new Map<string, Sequence>()
  /** By issuer: what was dropped for want of room counts for all of its serials. Slower, never wrong. */
  readonly #floors = new Map<number, Sequence>()

  /** Lowest asOf that an answer about this serial must still have, beside what the overlay demands; 0 when none. */
  need(issuer: RootIssuer, serial: Uint8Array): Sequence {
    if (this.#revisions.size === 0 && this.#floors.size === 0) return 0
    const floor = this.#floors.get(issuer.id) ?? 0
    if (floor > 0 && floor <= issuer.head) this.#floors.delete(issuer.id)
    const key = keyOf(issuer.id, serial)
    const revision = this.#revisions.get(key) ?? 0
    if (revision > 0 && revision <= issuer.head) this.#revisions.delete(key)
    const need = Math.max(floor, revision)
    return need <= issuer.head ? 0 : need // the root knows all up to its head
  }

  /** @param revision position of the change that was told of, or any later one */
  note(issuer: RootIssuer, serial: Uint8Array, revision: Sequence): void {
    if (revision <= issuer.head) return
    const key = keyOf(issuer.id, serial)
    if (revision <= (this.#revisions.get(key) ?? 0)) return
    this.#revisions.delete(key) // so that the oldest stand first
    this.#revisions.set(key, revision)
    if (this.#revisions.size > MAX_ENTRIES) this.#dropOldest()
  }

  #dropOldest(): void {
    const [oldest] = this.#revisions
    if (oldest === undefined) return
    const [key, revision] = oldest
    this.#revisions.delete(key)
    const issuer = Number.parseInt(key, 10)
    this.#floors.set(issuer, Math.max(this.#floors.get(issuer) ?? 0, revision))
  }
}

function keyOf(issuer: number, serial: Uint8Array): string {
  let key = `${issuer}/`
  for (const octet of serial) key += String.fromCharCode(octet)
  return key
}
