/** Fires the scheduled handler as the edge does: every minute on the minute, and never twice at a time. */

const MINUTE_MS = 60_000

export class Cron {
  readonly #run: (at: Date) => Promise<void>
  readonly #onFailure: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined

  constructor(run: (at: Date) => Promise<void>, onFailure: (error: unknown) => void) {
    this.#run = run
    this.#onFailure = onFailure
  }

  start(): void {
    const now = Date.now()
    const next = now - (now % MINUTE_MS) + MINUTE_MS
    this.#timer = setTimeout(() => {
      this.fire(new Date(next))
      this.start()
    }, next - now)
  }

  /** Runs it now, unless a run is still under way: the next minute does what is left. */
  fire(at: Date): void {
    this.#running ??= this.#run(at)
      .catch(this.#onFailure)
      .finally(() => {
        this.#running = undefined
      })
  }

  /** No run begins after this. */
  stop(): void {
    clearTimeout(this.#timer)
  }
}
