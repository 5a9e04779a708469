/** Mistakes that a pipeline can be made with. The checker that finds nothing wrong with the real one must find each of them. */
import type { FanOutStore } from '../../src/ports/fan-out-store.ts'
import type { OverlayStore, SlotStore } from '../../src/ports/ports.ts'
import type { World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'

export interface ChaosVariant {
  readonly name: string
  /** The same isolate with its mistake. */
  change?(isolate: Isolate, world: World): Isolate
  places?(places: FanOutStore): FanOutStore
}

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

function withSlots(isolate: Isolate, slots: SlotStore): Isolate {
  return { ...isolate, slots, presign: { ...isolate.presign, slots } }
}

/** A slot passes for built before its bundle is written. */
export const recordBeforeWrite: ChaosVariant = {
  name: 'recorded before it is written',
  change(isolate) {
    const { derived, slots } = isolate.presign
    const waiting: (() => Promise<void>)[] = []
    return {
      ...isolate,
      presign: {
        ...isolate.presign,
        derived: replacing(derived, {
          async writeBundle(...values) {
            waiting.push(() => derived.writeBundle(...values))
          },
        }),
        slots: replacing(slots, {
          async record(...values) {
            const recorded = await slots.record(...values)
            for (const write of waiting.splice(0)) await write()
            return recorded
          },
        }),
      },
    }
  },
}

/** A lease is for ever: who dies with it takes the slot along. */
export const leaseForEver: ChaosVariant = {
  name: 'a lease that neither is given back nor ends',
  change: (isolate) =>
    withSlots(
      isolate,
      replacing(isolate.slots, {
        lease: (slot, now) => isolate.slots.lease(slot, now, 10 * 365 * 86_400),
        async release() {},
      }),
    ),
}

/** The operator is told before the record has it. */
export const acknowledgedBeforeCommit: ChaosVariant = {
  name: 'a change acknowledged before its commit',
  change(isolate) {
    const { admin } = isolate
    return {
      ...isolate,
      admin: replacing(admin, {
        async changeStatus(...values) {
          void admin.changeStatus(...values).catch(() => undefined)
          return { outcome: 'changed' as const, revision: 0, keepUntil: 0 }
        },
      }),
    }
  },
}

/** What an invocation was about to do is kept in its memory: the record forgets that it is owed. */
export const dueInMemory: ChaosVariant = {
  name: 'what is due is taken out of the record before it is done',
  change(isolate, world) {
    const { slots } = isolate
    return withSlots(
      isolate,
      replacing(slots, {
        async lease(...values) {
          const lease = await slots.lease(...values)
          if (lease !== undefined)
            world.record.exec(
              `UPDATE slots SET built_seq = max(built_seq, changed_seq), added = 0
               WHERE issuer = ${lease.issuer} AND k = ${lease.k} AND slot = ${lease.slot} AND built_seq > 0`,
            )
          return lease
        },
      }),
    )
  },
}

/** The overlay forgets a change as soon as it was published once, whatever old copies are about. */
export const forgottenOncePublished: ChaosVariant = {
  name: 'a change is named in one root alone',
  change(isolate) {
    const named = new Set<string>()
    const overlay: OverlayStore = replacing(isolate.publisher.overlay, {
      async readOverlay() {
        const snapshot = await isolate.publisher.overlay.readOverlay()
        const items = snapshot.items.filter((item) => {
          const key = `${item.issuer}/${item.seq}`
          const isNew = !named.has(key)
          named.add(key)
          return isNew
        })
        return { ...snapshot, items }
      },
    })
    return { ...isolate, publisher: { ...isolate.publisher, overlay } }
  },
}

/** A place in the queue is kept for ever: what the queue loses is never built again. */
export const placeForEver: ChaosVariant = {
  name: 'a place in the queue that does not end',
  places: (places) =>
    replacing(places, {
      plan: (slots, lease, now) => places.plan(slots, lease, now, 10 * 365 * 86_400),
    }),
}

export const VARIANTS: readonly ChaosVariant[] = [
  recordBeforeWrite,
  leaseForEver,
  acknowledgedBeforeCommit,
  dueInMemory,
  placeForEver,
]
