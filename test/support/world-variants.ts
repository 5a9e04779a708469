/** Mistakes that weaker designs make. The checker that finds nothing wrong with the design must find each of them. */
import { OverlayRoot } from '../../src/overlay/root.ts'
import { encodeRoot } from '../../src/overlay/root-encoder.ts'
import type { CertificateRow, OverlaySnapshot } from '../../src/ports/records.ts'
import type { Variant } from './world-isolate.ts'

/** `inner` with some of its methods replaced. */
function replacing<T extends object>(inner: T, methods: Partial<T>): T {
  return new Proxy(inner, {
    get(target, name) {
      const replaced: unknown = Reflect.get(methods, name)
      const value: unknown = replaced ?? Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Attack 2: what changed is named for ten minutes, while copies from before live for hours. */
export function itemsKeptTenMinutes(): Variant {
  return {
    name: 'overlay items kept for ten minutes',
    overlayStore: (inner, clock) =>
      replacing(inner, {
        async readOverlay() {
          const snapshot = await inner.readOverlay()
          const oldest = (clock.nowMs() - 600_000) * 1000
          return { ...snapshot, items: snapshot.items.filter(({ seq }) => seq >= oldest) }
        },
      }),
  }
}

/** Attack 1: an old root looks like "nothing has changed". */
export function noHeartbeat(): Variant {
  return {
    name: 'no heartbeat and no bound on the age of a root',
    heartbeat: false,
    boundMs: Number.POSITIVE_INFINITY,
  }
}

/** Attack 7: who has built a slot says that nothing of it has changed, whatever happened since the rows were read. */
export function dirtyAsFlag(): Variant {
  return {
    name: 'dirty as a flag',
    slotStore: (inner, db) =>
      replacing(inner, {
        async record(lease, built) {
          const recorded = await inner.record(lease, built)
          const clear =
            'UPDATE slots SET built_seq = max(built_seq, changed_seq) WHERE issuer = ?1 AND k = ?2 AND slot = ?3'
          if (recorded) await db.prepare(clear).bind(lease.issuer, lease.k, lease.slot).all()
          return recorded
        },
      }),
  }
}

/** Attacks 6 and 7: the position that a bundle claims is read after its rows, in another transaction. */
export function positionReadAfterwards(): Variant {
  return {
    name: 'asOf read after the rows',
    slotStore: (inner) =>
      replacing(inner, {
        async readSlot(slot) {
          const { rows } = await inner.readSlot(slot)
          return { ...(await inner.readSlot(slot)), rows }
        },
      }),
  }
}

/** Attack 8: statuses come from a replica that is behind, under the primary's position. */
export function staleReplica(): Variant {
  return {
    name: 'live answers from a stale replica, unchecked',
    statusStore: (inner, clock) => {
      const replica = new Map<string, { row: CertificateRow | undefined; atMs: number }>()
      return replacing(inner, {
        async readStatuses(issuer, serials) {
          const { asOf, rows } = await inner.readStatuses(issuer, serials)
          const seen = rows.map((row, i) => {
            const key = `${issuer}/${serials[i]?.serial.join('.')}`
            const old = replica.get(key)
            if (old !== undefined && clock.nowMs() - old.atMs < 900_000) return old.row
            replica.set(key, { row, atMs: clock.nowMs() })
            return row
          })
          return { asOf, rows: seen }
        },
      })
    },
  }
}

/** Attack 3: the publisher adds what is new to the root that it finds in KV. */
export function readModifyWrite(): Variant {
  let snapshot: OverlaySnapshot | undefined
  let found: OverlayRoot | undefined
  return {
    name: 'read-modify-write of the root',
    overlayStore: (inner) =>
      replacing(inner, {
        async readOverlay() {
          snapshot = await inner.readOverlay()
          return snapshot
        },
      }),
    publisherDerived: (inner) => ({
      readPage: (name) => inner.readPage(name),
      async readRoot() {
        const bytes = await inner.readRoot()
        found = bytes === null ? undefined : OverlayRoot.open(bytes)
        return bytes
      },
      writeRoot(bytes) {
        if (snapshot === undefined) return inner.writeRoot(bytes)
        const { version, timeMs } = OverlayRoot.open(bytes)
        const items = snapshot.items.filter(({ seq }) => seq > (timeMs - 30_000) * 1000)
        return inner.writeRoot(
          encodeRoot({ ...snapshot, items }, version, timeMs, 1, new Set(), found?.carried),
        )
      },
    }),
  }
}

/** An isolate that believes whatever root it reads, older or not. */
export function forgetfulReader(): Variant {
  return {
    name: 'a reader that goes back to older roots',
    overlayReader: (make) => {
      let reader = make()
      return {
        fresh: () => undefined,
        refresh() {
          reader = make()
          return reader.refresh()
        },
        get latest() {
          return reader.latest
        },
        adopt: (bytes) => reader.adopt(bytes),
      }
    },
  }
}

/** Attack 12: whoever writes segments leaves changes out, as a merge does that reads what is no longer all. */
export function segmentsWithHoles(): Variant {
  return {
    name: 'segments that leave changes out',
    segmentStore: (inner) =>
      replacing(inner, {
        async *readChanges(ranges) {
          for await (const changes of inner.readChanges(ranges)) yield changes.filter((_, i) => i % 2 === 0)
        },
      }),
  }
}

/** Attack 12: whoever has seen all up to the end that a segment claims passes for knowing what is in it. */
export function segmentsThatEndEarly(): Variant {
  return {
    name: 'segments that end before their last change',
    segmentStore: (inner) =>
      replacing(inner, {
        commit(version, change) {
          const { segment } = change
          const lastSeq = (segment?.lastSeq ?? 0) - 3_600_000_000
          return inner.commit(
            version,
            segment === undefined ? change : { ...change, segment: { ...segment, lastSeq } },
          )
        },
      }),
  }
}
