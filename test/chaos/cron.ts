/** The cron job over the ports of one isolate, as src/compose.ts wires it; limits are so small that everything happens here too. */
import { fanOut, type ResignQueue } from '../../src/jobs/fan-out.ts'
import { repairIssuerPages } from '../../src/jobs/issuer-pages.ts'
import { runScheduled } from '../../src/jobs/scheduled.ts'
import { PAGING_RULES, pageIssuers } from '../../src/overlay/paging.ts'
import { publish } from '../../src/overlay/publisher.ts'
import { type SegmentLimits, tendSegments } from '../../src/overlay/segmenting.ts'
import type { FanOutStore } from '../../src/ports/fan-out-store.ts'
import type { Clock } from '../../src/ports/ports.ts'
import { presign } from '../../src/signing/presign.ts'
import { decodeIssuerPage, encodeIssuerPage } from '../../src/storage/issuer-page.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { MAX_SLOT_ENTRIES } from './script.ts'

/** So few that there are several messages. */
const MESSAGE_SIGNATURES = 24
/** Some minutes without a change, and an issuer stands in pages of the directory. */
const SOON_QUIET = { ...PAGING_RULES, quietMs: 120_000 }
/** Few changes are much here: most of what is asked about stands in segments and filters. */
const SMALL_SEGMENTS: SegmentLimits = { tail: 2, massTail: 4, massLive: 8, segments: 2, filters: 2 }
const SILENT = { event() {} }

export interface OverQueue {
  readonly places: FanOutStore
  readonly queue: ResignQueue
  readonly leaseName: () => string
}

/** @param overQueue undefined: everything is signed by the cron itself */
export function cronOf(isolate: Isolate, clock: Clock, overQueue: OverQueue | undefined): Promise<void> {
  const {
    publisher,
    presign: ports,
    overlayStore,
    directory,
    derived,
    recovery,
    segmenting,
    slots,
    admin,
  } = isolate
  const presignHere = () => presign(ports, { all: false, budget: 200 })
  const plan = (over: OverQueue) =>
    fanOut(
      {
        slots,
        fanOut: over.places,
        queue: over.queue,
        clock,
        log: SILENT,
        leaseName: over.leaseName,
        presign: presignHere,
      },
      { maxPlanned: 10_000, maxMessage: MESSAGE_SIGNATURES },
    )
  const scheduled = {
    segments: () => tendSegments(segmenting, SMALL_SEGMENTS),
    publish: () => publish(publisher),
    presign: overQueue === undefined ? presignHere : () => plan(overQueue),
    isFannedOut: overQueue !== undefined,
    canaries: async () => undefined,
    pageIssuers: () => pageIssuers({ directory, derived, clock }, SOON_QUIET),
    issuerPages: () =>
      repairIssuerPages({
        recovery,
        status: ports.status,
        derived,
        clock,
        encodePage: encodeIssuerPage,
        decodePage: decodeIssuerPage,
      }),
    overlay: overlayStore,
    slots: {
      startGrowth: (now: number) => slots.startGrowth(now, MAX_SLOT_ENTRIES),
      finishGrowth: () => slots.finishGrowth(),
      pruneCertificates: (now: number, limit: number) => slots.pruneCertificates(now, limit),
    },
    runs: admin,
    clock,
    log: SILENT,
  }
  return runScheduled(scheduled)
}
