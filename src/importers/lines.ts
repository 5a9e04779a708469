/** Bytes -> lines, without ever holding more than one chunk and one line. */
import type { ByteSource } from './importer.ts'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** `text` undefined: the line is longer than the cap and was skipped. */
export interface Line {
  readonly number: number
  readonly text: string | undefined
}

/**
 * Lines end with LF or CRLF; the last one may have no end. Octets that are not UTF-8 become U+FFFD: what an importer
 * reads of a line is ASCII.
 *
 * @param maxLineBytes longer lines come without text
 */
export async function* readLines(source: ByteSource, maxLineBytes: number): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8')
  let number = 0
  /** Pieces of a line that began in an earlier chunk. */
  let pieces: Uint8Array[] = []
  let held = 0
  const finish = (last: Uint8Array): Line => {
    number += 1
    const length = held + last.length
    const text = length > maxLineBytes ? undefined : decodeLine(decoder, pieces, last, length)
    pieces = []
    held = 0
    return { number, text }
  }
  for await (const chunk of chunksOf(source)) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      yield finish(chunk.subarray(start, end))
      start = end + 1
    }
    const rest = chunk.subarray(start)
    // Past the cap only the length counts. The copy is needed: a source may reuse its chunk.
    if (rest.length > 0 && held <= maxLineBytes) pieces.push(rest.slice())
    held += rest.length
    if (held > maxLineBytes) pieces = []
  }
  if (held > 0) yield finish(new Uint8Array(0))
}

function decodeLine(
  decoder: TextDecoder,
  pieces: readonly Uint8Array[],
  last: Uint8Array,
  length: number,
): string {
  let bytes = last
  if (pieces.length > 0) {
    bytes = new Uint8Array(length)
    let at = 0
    for (const piece of [...pieces, last]) {
      bytes.set(piece, at)
      at += piece.length
    }
  }
  if (bytes[bytes.length - 1] === CARRIAGE_RETURN) bytes = bytes.subarray(0, -1)
  return decoder.decode(bytes)
}

async function* chunksOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  if (!('getReader' in source)) {
    yield* source
    return
  }
  const reader = source.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    // Also reached when the consumer stops early: the source is told that nobody reads on.
    await reader.cancel()
  }
}
