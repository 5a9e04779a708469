/**
 * Re-signing over a queue: the cron run plans. It finds what is due in one scan, gives every issuer its share of what may
 * wait in the queue, leases that under a name of its own, and sends pages of it. What the queue does not take, and what was
 * sent before and never taken, is built here and now within the budget of a run: nothing waits for a queue that does not work.
 */
import type { FanOutStore, PlanRecord, SlotName } from '../ports/fan-out-store.ts'
import type { Clock, EventLog, SlotStore } from '../ports/ports.ts'
import type { PresignOutcome } from '../signing/presign.ts'
import { certificateCosts, inFairOrder, type PricedSlot } from '../signing/slot-costs.ts'
import { encodeMessage, MAX_MESSAGE_SLOTS, type ResignMessage } from './resign-message.ts'

/** How long a place in the queue is kept: with all its retries a message is handled or dead by then. */
const PLANNED_SECONDS = 15 * 60
/** Slots in one plan. */
const MAX_PLANNED_SLOTS = 5_000
/** The queue takes 100 messages and 256 KB at a time; its own share of each message is about 100 octets. */
const MAX_BATCH = 100
const MAX_BATCH_OCTETS = 200_000
const MESSAGE_OVERHEAD = 100

export interface ResignQueue {
  /** @throws when the queue is full, away or takes too long; some of it may have been taken all the same */
  sendBatch(messages: readonly { readonly body: unknown; readonly contentType: 'json' }[]): Promise<unknown>
}

export interface FanOutPorts {
  readonly slots: Pick<SlotStore, 'survey' | 'readSigning'>
  readonly fanOut: FanOutStore
  readonly queue: ResignQueue
  readonly clock: Clock
  readonly log: EventLog
  /** A name that no lease ever had, beginning with "plan:". */
  readonly leaseName: () => string
  /** Builds in this run whatever is due and free, within the budget of a run. */
  readonly presign: () => Promise<PresignOutcome>
}

export interface FanOutOptions {
  /** What may wait in the queue, in units of one P-256 signature. */
  readonly maxPlanned: number
  /** What one message holds, unless one slot alone is more. */
  readonly maxMessage: number
  /** Where the slots are: who takes a message has to know. Default 0. */
  readonly database?: number
}

export interface FanOutOutcome extends PresignOutcome {
  /** Slots have outgrown a bundle: it is time to double them. */
  readonly oversized: boolean
}

/** @throws StorageError when D1 cannot say what is due, or lease it */
export async function fanOut(ports: FanOutPorts, options: FanOutOptions): Promise<FanOutOutcome> {
  const plannedMs = ports.clock.nowMs()
  const now = Math.floor(plannedMs / 1000)
  const found = await ports.slots.survey(now, MAX_PLANNED_SLOTS, { all: false })
  const issuers = new Set([...found.slots, ...found.waiting].map(({ issuer }) => issuer))
  const costs =
    issuers.size === 0
      ? new Map<number, number>()
      : certificateCosts(await ports.slots.readSigning([...issuers]))
  const waitingCost = found.waiting.reduce(
    (sum, { issuer, slots, size }) => sum + Math.max(slots, size * (costs.get(issuer) ?? 1)),
    0,
  )
  const fresh = inFairOrder(found.slots, costs).filter(({ lost }) => !lost)
  const wanted = upTo(fresh, options.maxPlanned - waitingCost)
  const lease = ports.leaseName()
  const leased = wanted.length === 0 ? [] : await ports.fanOut.plan(wanted, lease, now, PLANNED_SECONDS)
  const names = new Set(leased.map(nameOf))
  const messages = pagesOf(
    wanted.filter((slot) => names.has(nameOf(slot))),
    options.maxMessage,
  ).map((slots) => ({ lease, database: options.database ?? 0, slots }))

  const sent = await send(ports, messages)
  const planned = sumOf(messages.slice(0, sent.messages))
  const lost = found.slots.filter((slot) => slot.lost).length
  const problems = [...sent.problems]
  if (lost > 0) problems.push(`queue: ${lost} slots were sent and never taken; they are built in this run`)
  const inline = lost > 0 || sent.problems.length > 0 ? await ports.presign() : undefined
  const record: PlanRecord = {
    plannedMs,
    due: found.due,
    planned,
    messages: sent.messages,
    lost: lost > 0,
    refused: sent.problems.length > 0,
  }
  await ports.fanOut.recordPlan(record).catch((error: unknown) => {
    problems.push(`record of the plan: ${messageOf(error)}`)
  })
  return {
    built: inline?.built ?? 0,
    signatures: inline?.signatures ?? 0,
    failed: inline?.failed ?? 0,
    remaining: inline?.remaining ?? found.due - planned,
    problems: [...problems, ...(inline?.problems ?? [])],
    oversized: found.oversized,
  }
}

/** @returns how many messages the queue took, in their order; the places of the others are given up */
async function send(
  ports: FanOutPorts,
  messages: readonly ResignMessage[],
): Promise<{ messages: number; problems: readonly string[] }> {
  let done = 0
  for (const batch of batchesOf(messages)) {
    try {
      await ports.queue.sendBatch(batch)
      done += batch.length
    } catch (error) {
      const problem = `queue: it did not take ${messages.length - done} of ${messages.length} messages: ${messageOf(error)}`
      ports.log.event('error', { what: 'queue refused', problem })
      const unsent = messages.slice(done)
      // Should it have taken some of them all the same: whoever gets them finds that they were overtaken.
      await ports.fanOut.unplan(
        unsent.flatMap(({ slots }) => slots),
        unsent[0]?.lease ?? '',
        '',
      )
      return { messages: done, problems: [problem] }
    }
  }
  return { messages: done, problems: [] }
}

type Sendable = Parameters<ResignQueue['sendBatch']>[0][number]

function* batchesOf(messages: readonly ResignMessage[]): Generator<readonly Sendable[]> {
  let batch: Sendable[] = []
  let octets = 0
  for (const message of messages) {
    const body = encodeMessage(message)
    const own = JSON.stringify(body).length + MESSAGE_OVERHEAD
    if (batch.length === MAX_BATCH || (batch.length > 0 && octets + own > MAX_BATCH_OCTETS)) {
      yield batch
      batch = []
      octets = 0
    }
    batch.push({ body, contentType: 'json' })
    octets += own
  }
  if (batch.length > 0) yield batch
}

/** So many of the first that their cost passes the budget, if at all, with the last of them. */
function upTo(slots: readonly PricedSlot[], budget: number): readonly PricedSlot[] {
  let left = budget
  const end = slots.findIndex(({ cost }) => {
    const isOver = left <= 0
    left -= cost
    return isOver
  })
  return end < 0 ? slots : slots.slice(0, end)
}

/** By urgency, and within one by issuer: a consumer has few issuers to read and few keys to open. */
function pagesOf(slots: readonly PricedSlot[], maxCost: number): readonly (readonly SlotName[])[] {
  const sorted = slots.toSorted((a, b) => a.urgency - b.urgency || a.issuer - b.issuer)
  const pages: SlotName[][] = []
  let room = 0
  for (const slot of sorted) {
    const last = pages.at(-1)
    if (last === undefined || last.length >= MAX_MESSAGE_SLOTS || slot.cost > room) {
      pages.push([slot])
      room = maxCost - slot.cost
    } else {
      last.push(slot)
      room -= slot.cost
    }
  }
  return pages
}

function sumOf(messages: readonly ResignMessage[]): number {
  return messages.reduce((sum, { slots }) => sum + slots.length, 0)
}

function nameOf({ issuer, k, slot }: SlotName): string {
  return `${issuer}/${k}/${slot}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
