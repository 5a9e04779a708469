/** How far a long command is: a bar on a terminal, a line now and then elsewhere. Always on stderr. */
import { Presets, SingleBar } from 'cli-progress'

export interface Progress {
  /** @param done position, in the unit of `total`. @param detail short text shown beside it */
  update(done: number, detail: string): void
  /** Takes the bar off the line, so that something else can be printed; the next update brings it back. */
  clear(): void
  stop(): void
}

export interface ProgressOptions {
  readonly label: string
  /** undefined: unknown. */
  readonly total: number | undefined
}

const LINE_EVERY_MS = 5000

export function startProgress(options: ProgressOptions): Progress {
  return process.stderr.isTTY ? startBar(options) : startLines(options)
}

function startBar({ label, total }: ProgressOptions): Progress {
  const format =
    total === undefined
      ? `${label} {duration_formatted} | {detail}`
      : `${label} {bar} {percentage}% | {detail}`
  const bar = new SingleBar(
    { format, stream: process.stderr, hideCursor: true, fps: 8 },
    Presets.shades_classic,
  )
  // A total of 0 (an empty file) would divide by it.
  bar.start(Math.max(1, total ?? 1), 0, { detail: '' })
  return {
    update: (done, detail) => bar.update(Math.min(done, bar.getTotal()), { detail }),
    clear: () => {
      process.stderr.write('\r\u001b[K')
    },
    stop: () => bar.stop(),
  }
}

function startLines({ label, total }: ProgressOptions): Progress {
  let last = Date.now()
  return {
    update(done, detail) {
      if (Date.now() - last < LINE_EVERY_MS) return
      last = Date.now()
      const share = total === undefined || total === 0 ? '' : ` ${Math.floor((100 * done) / total)}%`
      process.stderr.write(`${label}${share} | ${detail}\n`)
    },
    clear: () => undefined,
    stop: () => undefined,
  }
}

/** Rows a second since `startedMs`, for people. */
export function formatRate(count: number, startedMs: number): string {
  const seconds = Math.max(0.001, (Date.now() - startedMs) / 1000)
  return `${Math.round(count / seconds).toLocaleString('en-US')}/s`
}
