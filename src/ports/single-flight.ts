/**
 * At most one run of the same work in this isolate. In Workers the promise of another request may never settle (its
 * client left, the runtime dropped it), so the owner's work is kept alive in the background, and who waits for it does so
 * for a limited time and then does the work itself.
 */
const WAIT_MS = 2_000

export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>()
  readonly #background: (work: Promise<unknown>) => void

  constructor(background: (work: Promise<unknown>) => void) {
    this.#background = background
  }

  /** Runs in flight now. */
  get size(): number {
    return this.#flights.size
  }

  async run(key: string, work: () => Promise<T>): Promise<T> {
    const flight = this.#flights.get(key)
    if (flight !== undefined) {
      const settled = await settledWithin(flight, WAIT_MS)
      if (settled !== undefined) return settled.value
    }
    const own = work()
    this.#flights.set(key, own)
    this.#background(own.catch(() => undefined))
    try {
      return await own
    } finally {
      if (this.#flights.get(key) === own) this.#flights.delete(key)
    }
  }
}

/** The flight's value; undefined when it failed or took too long: a failure is the owner's, not everybody's. */
async function settledWithin<T>(flight: Promise<T>, ms: number): Promise<{ value: T } | undefined> {
  const { promise: timeout, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(resolve, ms, undefined)
  const settled = flight.then(
    (value) => ({ value }),
    () => undefined,
  )
  try {
    return await Promise.race([settled, timeout])
  } finally {
    clearTimeout(timer)
  }
}
