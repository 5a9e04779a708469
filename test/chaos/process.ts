/**
 * A process that can die at any call of a port: what it held in memory is gone with it, what it had under way stands still,
 * and may come back for a while as a zombie, with the effect that it was about to have.
 */
import type { Interference, PortName } from '../support/faults.ts'
import type { Fault } from './plan.ts'

/** Who calls: a request for an answer, or anything else that the process does. */
export type Role = 'answer' | 'pipeline'

/** Decides about every call of every process of a run. */
export interface Fate {
  /** Counts the call. @returns what happens to it; undefined = nothing */
  decide(role: Role, port: PortName, what: string): Fault | undefined
  /** Others are at work while this call is under way. */
  meanwhile(role: Role): Promise<void>
  /** An effect that its caller does not wait for any more. */
  later(effect: () => Promise<unknown>): void
  nowMs(): number
}

interface Dangling {
  /** Of the invocation that made the call. */
  readonly begunMs: number
  readonly go: () => void
}

export class Process {
  /** Resolves when it dies; never, if it does not. */
  readonly death: Promise<'dead'>
  #isDead = false
  readonly #die: () => void
  readonly #fate: Fate
  #dangling: Dangling[] = []
  /** Calls that a zombie may still make. */
  #strides = 0
  /** When the invocation that is under way began. */
  begunMs = 0

  constructor(fate: Fate) {
    this.#fate = fate
    const { promise, resolve } = Promise.withResolvers<'dead'>()
    this.death = promise
    this.#die = () => {
      this.#isDead = true
      resolve('dead')
    }
  }

  /** At this moment. */
  kill(): void {
    this.#die()
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** What stands still in it. */
  get danglingCount(): number {
    return this.#dangling.length
  }

  /** One thing that stood still goes on, for so many calls. */
  revive(choose: (count: number) => number, strides: number): void {
    const [one] = this.#dangling.splice(choose(this.#dangling.length), 1)
    this.#strides = strides
    one?.go()
  }

  /** What began before that moment never comes back. */
  bury(begunBeforeMs: number): void {
    this.#strides = 0
    this.#dangling = this.#dangling.filter(({ begunMs }) => begunMs >= begunBeforeMs)
  }

  /** Interference for the drivers of its isolates. */
  hook(role: Role): Interference {
    const torn = new Set<string>()
    return {
      around: (port, what, work) => this.#call(role, port, what, work, torn),
      value: (_port, key, bytes) => (torn.delete(key) ? half(bytes) : bytes),
      written: (key, bytes) => (torn.delete(key) ? half(bytes) : bytes),
    }
  }

  async #call<T>(
    role: Role,
    port: PortName,
    what: string,
    work: () => Promise<T>,
    torn: Set<string>,
  ): Promise<T> {
    await this.#stopIfDead()
    if (!this.#isDead) {
      await this.#fate.meanwhile(role)
      await this.#stopIfDead()
    }
    const fault = this.#isDead ? undefined : this.#fate.decide(role, port, what)
    switch (fault) {
      case undefined:
        return this.#through(work)
      case 'kb':
        this.#die()
        await this.#stopIfDead()
        return this.#through(work)
      case 'tw':
        torn.add(what)
        await work()
        this.#die()
        return new Promise(() => {})
      case 'ka': {
        const result = await work()
        this.#die()
        await this.#stopIfDead()
        return result
      }
      case 'cl':
        throw new Error(`${port}: connection lost before the call`)
      case 'al':
        await work()
        throw new Error(`${port}: connection lost after the call`)
      case 'ml':
      case 'md':
        // Of a message on its way: whoever sends it notices nothing.
        return this.#through(work)
      case 'to':
        this.#fate.later(work)
        throw new Error(`${port}: timed out`)
      case 'tr':
        torn.add(what)
        return this.#through(work)
    }
  }

  /** Its process may die in the middle. */
  async #through<T>(work: () => Promise<T>): Promise<T> {
    const result = await work()
    await this.#stopIfDead()
    return result
  }

  async #stopIfDead(): Promise<void> {
    if (!this.#isDead) return
    if (this.#strides > 0) {
      this.#strides -= 1
      return
    }
    const { begunMs } = this
    await new Promise<void>((go) => this.#dangling.push({ begunMs, go }))
  }
}

function half<T extends Uint8Array | undefined>(bytes: T): T | Uint8Array {
  return bytes === undefined ? bytes : bytes.subarray(0, bytes.length >>> 1)
}
