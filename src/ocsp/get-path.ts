import { BASE64_VALUES, NOT_BASE64, packSextets } from '../asn1/base64.ts'
import { OCSPDecodeError } from './error.ts'
import { decodeOCSPRequest } from './ocsp-request.ts'

/** Longest request target that is decoded, in characters (R5.16). */
export const MAX_GET_TARGET = 8192

/** Byte strings tried for a target in which a proxy merged slashes, and characters decoded for them in all. */
const MAX_CANDIDATES = 64
const MAX_CANDIDATE_CHARACTERS = 65_536
/** Places where data may begin that are tried: one is the data, the others are prefix segments that look like DER. */
const MAX_EXACT = 4
const MAX_MERGED = 16

/** Value of `/` in the alphabet. A `_` reads the same: as a boundary it does no harm. */
const SLASH = 63
// Values of characters beside the 64 of the alphabet.
const PAD = 64
const DROPPED = 66
const CHAR_SLASH = 0x2f
const CHAR_PERCENT = 0x25

/** Value of each ASCII code in a target: both alphabets of RFC 4648, and a space that was a `+` (R5.5, R5.10). */
const VALUES: Uint8Array = buildValues()

function buildValues(): Uint8Array {
  const values = BASE64_VALUES.slice()
  const alias = (char: string, value: number): void => {
    values[char.charCodeAt(0)] = value
  }
  alias('-', 62)
  alias(' ', 62)
  alias('_', SLASH)
  alias('=', PAD)
  for (const char of '\r\n\t') alias(char, DROPPED)
  return values
}

/** The characters of a path by value. The data ends at `end`; no character of it before `from` can be data. */
interface PathText {
  readonly values: Uint8Array
  readonly from: number
  readonly end: number
  /** The path ends in a `/` that stands in the data if the DER length says so, else after it (R5.12). */
  readonly slashEnds: boolean
}

/**
 * The request in the target of a GET: `{prefix}/{url-encoding of base64 of the DER}` (RFC 6960 A.1), in every spelling that
 * clients and proxies make of it (R5.1..R5.17). `target` is a raw path or an absolute URL; query and fragment are ignored,
 * and so is any prefix, because the length inside the DER says where the data begins and ends.
 *
 * One candidate as a rule, which still has to be decoded. Where a proxy merged `//` into `/`, every candidate (at most 64)
 * has the right length and decodes as an OCSPRequest; the caller picks the one whose issuer it knows.
 * @throws OCSPDecodeError.{badBase64, badEscape, requestTooLarge}, offset in characters of `target`
 */
export function decodeGetTarget(target: string): Uint8Array[] {
  if (target.length > MAX_GET_TARGET) throw new OCSPDecodeError('requestTooLarge', MAX_GET_TARGET)
  const start = pathStart(target)
  const text = trimPath(readValues(target, start, pathEnd(target, start)))
  const boundaries = findBoundaries(text)
  const exact = boundaries.filter((at) => dataEnd(text, at) !== undefined)
  if (exact.length > 0) return decodeExact(text, exact, start)
  return recoverMergedSlashes(text, boundaries, start)
}

function decodeExact(text: PathText, exact: readonly number[], start: number): Uint8Array[] {
  const { values } = text
  const found: Uint8Array[] = []
  for (const at of exact.slice(0, MAX_EXACT)) {
    // Nothing else needs the characters of a single candidate: an array of its own would cost more than the decoding.
    const der = packSextets(values, at, dataEnd(text, at) ?? at, exact.length === 1 ? values : undefined)
    // With two a prefix happens to look like DER of the right length: only the grammar can tell.
    if (der !== undefined && (exact.length === 1 || isRequest(der))) found.push(der)
  }
  if (found.length === 0) throw new OCSPDecodeError('badBase64', start)
  return found
}

/** Where the path begins: origin form begins with `/`, absolute form has it after the authority (R5.17). */
function pathStart(target: string): number {
  if (target.charCodeAt(0) === CHAR_SLASH) return 0
  const authority = target.indexOf('://')
  if (authority < 0) return 0
  const slash = target.indexOf('/', authority + 3)
  return slash < 0 ? target.length : slash
}

function pathEnd(target: string, start: number): number {
  const query = target.indexOf('?', start)
  const end = query < 0 ? target.length : query
  const fragment = target.indexOf('#', start)
  return fragment < 0 || fragment > end ? end : fragment
}

/** Undoes percent-encoding, twice where it was done twice (R5.6), and gives the values of the characters. */
function readValues(target: string, start: number, end: number): Uint8Array {
  const values = new Uint8Array(end - start)
  let length = 0
  for (let i = start; i < end; i++) {
    let code = target.charCodeAt(i)
    if (code === CHAR_PERCENT) {
      code = escapedCode(target, i)
      if (code === CHAR_PERCENT) return readTwiceEscaped(target, start, end)
      i += 2
    }
    const value = code < 0x80 ? (VALUES[code] ?? NOT_BASE64) : NOT_BASE64
    if (value !== DROPPED) values[length++] = value
  }
  return values.subarray(0, length)
}

function readTwiceEscaped(target: string, start: number, end: number): Uint8Array {
  let once = ''
  for (let i = start; i < end; i++) {
    if (target.charCodeAt(i) === CHAR_PERCENT) {
      once += String.fromCharCode(escapedCode(target, i))
      i += 2
    } else once += target.charAt(i)
  }
  // Nobody escapes three times: a %25 that is left is as wrong as any other bad escape.
  const third = once.indexOf('%25')
  if (third >= 0) throw new OCSPDecodeError('badEscape', start + third)
  return readValues(once, 0, once.length)
}

function escapedCode(target: string, at: number): number {
  const high = hexDigit(target.charCodeAt(at + 1))
  const low = hexDigit(target.charCodeAt(at + 2))
  if (high < 0 || low < 0) throw new OCSPDecodeError('badEscape', at)
  return high * 16 + low
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

/** Cuts off padding and finds the last character that cannot be data, in one backward scan each. */
function trimPath(values: Uint8Array): PathText {
  let end = values.length
  if (values[end - 1] === SLASH && values[end - 2] === PAD) end--
  const padEnd = end
  while (end > 0 && padEnd - end < 2 && values[end - 1] === PAD) end--
  let from = end
  while (from > 0 && (values[from - 1] ?? NOT_BASE64) < PAD) from--
  return { values, from, end, slashEnds: end === padEnd && values[end - 1] === SLASH }
}

/** Where data may begin: after a `/`, with the characters of 30 0x..FF, which are `M` and then one of `A`..`P`. */
function findBoundaries(text: PathText): number[] {
  const { values, from, end } = text
  const found: number[] = []
  for (let at = from; at < end; at++) {
    if (values[at] === 12 && (at === 0 || values[at - 1] === SLASH) && (values[at + 1] ?? PAD) < 16) {
      found.push(at)
    }
  }
  return found
}

/** Characters of base64 without padding of the DER element that begins at `at`, by its length octets; 0 when they are none. */
function characterCount(values: Uint8Array, at: number): number {
  const second = ((values[at + 1] ?? 0) << 4) | ((values[at + 2] ?? 0) >> 2)
  const third = (((values[at + 2] ?? 0) & 3) << 6) | (values[at + 3] ?? 0)
  const fourth = ((values[at + 4] ?? 0) << 2) | ((values[at + 5] ?? 0) >> 4)
  let octets = 0
  if (second < 0x80) octets = 2 + second
  else if (second === 0x81) octets = 3 + third
  else if (second === 0x82) octets = 4 + third * 256 + fourth
  return Math.ceil((octets * 8) / 6)
}

/** End of the data that begins at `at`, undefined unless its length fits the path. */
function dataEnd(text: PathText, at: number): number | undefined {
  const end = at + characterCount(text.values, at)
  return end === text.end || (text.slashEnds && end === text.end - 1) ? end : undefined
}

/**
 * Puts back the slashes that a proxy merged (R5.3): the DER length tells how many are missing, and each was beside a slash
 * that is still there.
 */
function recoverMergedSlashes(text: PathText, boundaries: readonly number[], start: number): Uint8Array[] {
  const budget = { candidates: MAX_CANDIDATES, characters: MAX_CANDIDATE_CHARACTERS }
  let areTooMany = false
  for (const at of boundaries.slice(0, MAX_MERGED)) {
    const length = characterCount(text.values, at)
    const found: Uint8Array[] = []
    let areAll = true
    for (const end of text.slashEnds ? [text.end, text.end - 1] : [text.end]) {
      const missing = length - (end - at)
      if (missing > 0)
        areAll = collectRepairs(text.values.subarray(at, end), missing, budget, found) && areAll
    }
    // What begins later lies inside this request. If these are not all of its candidates, the one that is meant may be missing.
    if (found.length > 0 && areAll) return found
    areTooMany ||= !areAll
  }
  if (areTooMany)
    throw new OCSPDecodeError('requestTooLarge', start, 'too many ways to put merged slashes back')
  throw new OCSPDecodeError('badBase64', start)
}

/** Positions of the slashes; none if two stand together, for then nobody merged them. */
function lonelySlashes(data: Uint8Array): number[] {
  const found: number[] = []
  for (let i = 0; i < data.length; i++) {
    if (data[i] !== SLASH) continue
    if (data[i - 1] === SLASH) return []
    found.push(i)
  }
  return found
}

interface RepairBudget {
  candidates: number
  characters: number
}

/**
 * Tries every way to spread `missing` slashes over the places where one stands.
 * @returns false, with nothing tried, when they are not within the budget
 */
function collectRepairs(
  data: Uint8Array,
  missing: number,
  budget: RepairBudget,
  found: Uint8Array[],
): boolean {
  const slashes = lonelySlashes(data)
  if (slashes.length === 0) return true
  const length = data.length + missing
  const ways = combinations(missing, slashes.length)
  if (ways > budget.candidates || ways * length > budget.characters) return false
  budget.candidates -= ways
  budget.characters -= ways * length
  const repaired = new Uint8Array(length)
  const place = (slash: number, left: number, from: number, to: number): void => {
    const position = slashes[slash]
    if (position === undefined) {
      repaired.set(data.subarray(from), to)
      const der = packSextets(repaired, 0, length)
      if (der !== undefined && isRequest(der)) found.push(der)
      return
    }
    const next = to + position + 1 - from
    repaired.set(data.subarray(from, position + 1), to)
    for (let extra = slash === slashes.length - 1 ? left : 0; extra <= left; extra++) {
      repaired.fill(SLASH, next, next + extra)
      place(slash + 1, left - extra, position + 1, next + extra)
    }
  }
  place(0, missing, 0, 0)
  return true
}

/** Ways to spread `items` over `places`: C(items + places - 1, items), at most a little above MAX_CANDIDATES. */
function combinations(items: number, places: number): number {
  if (places === 1) return 1
  let count = 1
  for (let i = 1; i <= items && count <= MAX_CANDIDATES; i++) count = (count * (places - 1 + i)) / i
  return count
}

function isRequest(der: Uint8Array): boolean {
  try {
    decodeOCSPRequest(der)
    return true
  } catch {
    return false
  }
}
