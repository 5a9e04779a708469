/**
 * Re-signing over a queue: what takes messages from it. A message may come twice, late, out of order or never; whoever handles
 * it may stop half-way and go on later. So nothing is believed of it but names: each slot is claimed in D1 by the lease that it
 * was planned under, which one can do once, and is recorded by the lease that the claim gave.
 */
import type { AdminStore } from '../ports/admin-store.ts'
import type { FanOutStore } from '../ports/fan-out-store.ts'
import type { Clock } from '../ports/ports.ts'
import { atOnce } from '../signing/at-once.ts'
import { issuersOnce, LEASE_SECONDS, type ResignPorts, resignSlot } from '../signing/resign-slot.ts'
import { decodeMessage } from './resign-message.ts'

/** A queue whose name ends so holds what another one gave up. */
export const DEAD_LETTER_SUFFIX = '-dead'

export interface QueueMessage {
  readonly id: string
  readonly body: unknown
  /** 1 at first. */
  readonly attempts: number
  ack(): void
  retry(): void
}

export interface ConsumerPorts extends ResignPorts {
  readonly fanOut: FanOutStore
  readonly runs: Pick<AdminStore, 'recordRun'>
}

/** Name under which the consumers record what they built. */
export const QUEUE_JOB = 'queue'

/** Never throws: a message that cannot be handled now is asked for again, one that nobody can handle is put aside. */
export async function handleMessages(
  ports: ConsumerPorts,
  messages: readonly QueueMessage[],
  slotsAtOnce: number,
): Promise<void> {
  const startedMs = ports.clock.nowMs()
  const issuerOf = issuersOnce(ports.status)
  const run = { built: 0, signatures: 0, failed: 0, handled: 0, overtaken: 0, problems: new Set<string>() }
  for (const message of messages) {
    const page = decodeMessage(message.body)
    if (page === undefined) {
      ports.log.event('error', { what: 'message not understood', message: message.id })
      message.ack() // the next time it would be no clearer
      continue
    }
    try {
      await atOnce(page.slots, slotsAtOnce, async (slot) => {
        const issuer = await issuerOf(slot.issuer)
        const lease = await ports.fanOut.claim(slot, page.lease, seconds(ports.clock), LEASE_SECONDS)
        if (lease === undefined) {
          run.overtaken += 1
          return
        }
        const { built, signatures, problems } = await resignSlot(ports, issuer, lease)
        run.built += built ? 1 : 0
        run.failed += built ? 0 : 1
        run.signatures += signatures
        for (const problem of problems) run.problems.add(problem)
      })
      run.handled += 1
      message.ack()
    } catch (error) {
      // The record is away. What was claimed was built or given back; the rest of the message is as it was.
      const [problem, { id, attempts }] = [describe(error), message]
      ports.log.event('error', { what: 'message failed', message: id, attempts, problem })
      message.retry() // after the delay that the consumer is configured with
    }
  }
  const { built, signatures, failed, handled, overtaken, problems } = run
  const finishedMs = ports.clock.nowMs()
  try {
    await ports.fanOut.recordHandled(handled, overtaken, finishedMs)
    if (built + failed === 0) return
    const ok = problems.size === 0
    const done = { job: QUEUE_JOB, startedMs, finishedMs, ok, built, signatures, failed, remaining: failed }
    await ports.runs.recordRun(ok ? done : { ...done, error: [...problems].join('; ') })
  } catch (error) {
    ports.log.event('warn', { what: 'messages not counted', problem: describe(error) }) // what was signed is signed
  }
}

/**
 * What the queue gave up after all its retries. The slots are due in D1 whatever happens here: those whose place in the queue
 * is still kept are given back at once, noted as failed, so that they come after the others.
 */
export async function handleDeadLetters(
  ports: Pick<ConsumerPorts, 'fanOut' | 'clock' | 'log'>,
  messages: readonly QueueMessage[],
): Promise<void> {
  for (const message of messages) {
    const page = decodeMessage(message.body)
    ports.log.event('error', { what: 'dead letter', message: message.id, slots: page?.slots.length ?? 0 })
    try {
      if (page !== undefined)
        await ports.fanOut.unplan(page.slots, page.lease, 'the queue gave up its message')
      await ports.fanOut.recordDead(1, ports.clock.nowMs())
      message.ack()
    } catch (error) {
      ports.log.event('error', { what: 'dead letter not recorded', problem: describe(error) })
      message.retry() // after the delay that the consumer is configured with
    }
  }
}

function seconds(clock: Clock): number {
  return Math.floor(clock.nowMs() / 1000)
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
