/** A queue as the platform promises it: messages come at least once, in any order, and again when nobody says that they are done. */
import { type ConsumerPorts, handleDeadLetters, handleMessages } from '../../src/jobs/consumer.ts'
import type { ResignQueue } from '../../src/jobs/fan-out.ts'
import type { Random } from '../support/clock.ts'

interface Waiting {
  readonly id: string
  readonly body: string
  attempts: number
  /** Not before then. */
  visibleMs: number
  /** It was given up by the queue for real, and is told to whoever handles such. */
  isDead: boolean
}

const MAX_RETRIES = 5
const RETRY_DELAY_MS = 45_000
const SLOTS_AT_ONCE = 3

export class ChaosQueue implements ResignQueue {
  readonly #nowMs: () => number
  readonly #waiting: Waiting[] = []
  #sent = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get size(): number {
    return this.#waiting.length
  }

  async sendBatch(messages: Parameters<ResignQueue['sendBatch']>[0]): Promise<void> {
    for (const { body } of messages) this.#add(JSON.stringify(body))
  }

  #add(body: string): void {
    this.#sent += 1
    this.#waiting.push({
      id: `message ${this.#sent}`,
      body,
      attempts: 1,
      visibleMs: this.#nowMs(),
      isDead: false,
    })
  }

  /** One that may be delivered now, any of them. */
  next(dice: Random): Waiting | undefined {
    const visible = this.#waiting.filter(({ visibleMs }) => visibleMs <= this.#nowMs())
    return visible.length === 0 ? undefined : dice.pick(visible)
  }

  lose(message: Waiting): void {
    const at = this.#waiting.indexOf(message)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  duplicate({ body }: Waiting): void {
    this.#add(body)
  }

  /** Not done, for whatever reason: it comes again, or is given up. */
  giveBack(message: Waiting): void {
    message.attempts += 1
    message.visibleMs = this.#nowMs() + RETRY_DELAY_MS
    if (message.attempts > MAX_RETRIES + 1) {
      message.isDead = true
      message.attempts = 1
    }
  }

  /** What an invocation of the consumer does with it. */
  async deliver(message: Waiting, ports: ConsumerPorts): Promise<void> {
    let isDone = false
    const delivered = {
      id: message.id,
      body: JSON.parse(message.body),
      attempts: message.attempts,
      ack() {
        isDone = true
      },
      retry() {
        isDone = false
      },
    }
    if (message.isDead) await handleDeadLetters(ports, [delivered])
    else await handleMessages(ports, [delivered], SLOTS_AT_ONCE)
    if (isDone) this.lose(message)
    else this.giveBack(message)
  }
}
