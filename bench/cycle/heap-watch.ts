/** The memory of the Worker's isolate, asked of its inspector every 100 ms: V8's used heap and what ArrayBuffers hold. */

const INTERVAL_MS = 100

/** Greatest sum of both at one moment, in octets, and its parts. */
export interface HeapSize {
  readonly peak: number
  readonly heap: number
  readonly buffers: number
}

const NOTHING: HeapSize = { peak: 0, heap: 0, buffers: 0 }

export interface HeapPeak extends HeapSize {
  readonly samples: number
  /** Longest time between two answers: an isolate that computes answers when it is done. */
  readonly longestGapMs: number
}

export class HeapWatch {
  readonly #socket: WebSocket
  readonly #timer: ReturnType<typeof setInterval>
  #peak = NOTHING
  #lap = NOTHING
  #samples = 0
  #longestGapMs = 0
  #askedAt = 0
  #answeredAt = performance.now()
  #problem: string | undefined

  /** @throws Error when the inspector does not let us in */
  static async start(url: string): Promise<HeapWatch> {
    const socket = new WebSocket(url)
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve(), { once: true })
      socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)), { once: true })
    })
    return new HeapWatch(socket)
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => this.#take(JSON.parse(String(data))))
    socket.addEventListener('close', () => {
      this.#problem ??= 'the inspector went away'
    })
    this.#timer = setInterval(() => this.#ask(), INTERVAL_MS)
    this.#ask()
  }

  /** Of the time so far. @throws Error when it could not see all of it */
  peak(): HeapPeak {
    const problem = this.#problem ?? (this.#samples === 0 ? 'the inspector said nothing' : undefined)
    if (problem !== undefined) throw new Error(problem)
    return { ...this.#peak, samples: this.#samples, longestGapMs: Math.round(this.#longestGapMs) }
  }

  /** Since the last call. */
  lap(): HeapSize {
    const lap = this.#lap
    this.#lap = NOTHING
    return lap
  }

  close(): void {
    clearInterval(this.#timer)
    this.#socket.close()
  }

  #ask(): void {
    if (this.#askedAt > 0 || this.#socket.readyState !== WebSocket.OPEN) return
    this.#askedAt = performance.now()
    this.#socket.send(JSON.stringify({ id: 1, method: 'Runtime.getHeapUsage' }))
  }

  #take(message: { readonly id?: number; readonly result?: unknown }): void {
    if (message.id !== 1) return
    const result: object = typeof message.result === 'object' && message.result !== null ? message.result : {}
    const heap = 'usedSize' in result ? Number(result.usedSize) : Number.NaN
    const buffers = 'backingStorageSize' in result ? Number(result.backingStorageSize) : Number.NaN
    if (!Number.isFinite(heap + buffers)) this.#problem ??= 'the inspector does not tell both sizes'
    const size = { peak: heap + buffers, heap, buffers }
    if (size.peak > this.#lap.peak) this.#lap = size
    if (size.peak > this.#peak.peak) this.#peak = size
    const now = performance.now()
    this.#samples += 1
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#answeredAt)
    this.#answeredAt = now
    this.#askedAt = 0
  }
}
