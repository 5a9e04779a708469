/**
 * The gate over many responses of one window, hash and signer, which mostly differ in serial number and signature alone. The first
 * of a form is read and judged in full. Of the next one serial number and signature are put into a copy of it, and the copy is
 * compared with the response: when they are the same octets, what was read of the copy is what would be read of the response, for it
 * consists of views into the copy and of values that other octets make. Then only the checks that look at these two, or at what
 * changes beside the response (what is meant), can find anything else than before, and they are judged. Whatever is not alike is
 * judged in full.
 */
import type { ResponseCheck, SingleCheck } from './check.ts'
import { OF_EACH } from './check.ts'
import { responseChecks, singleChecks } from './checks.ts'
import type { LintContext, MeantSingle } from './context.ts'
import { Judged, knownOf } from './judged.ts'
import { applies, appliesToSingle, type LintReport, lint } from './lint.ts'

/** Lengths of serial number and signature that are remembered: a CA has few, and all others are judged in full. */
const MAX_FORMS = 8

/** A response without fault. */
interface Form {
  /** A copy of ours, into which serial numbers and signatures are written. */
  readonly octets: Uint8Array
  /** The same memory, for comparing, and that of the response that was compared last: the next one often stands in the same octets. */
  readonly words: Int32Array
  last: Int32Array
  readonly serialAt: number
  readonly serialEnd: number
  readonly signatureAt: number
  readonly signatureEnd: number
  /** Of `octets`, without findings. */
  readonly report: LintReport
  readonly judged: Judged
  /** Those that are judged for each response, as far as enough is known for them. */
  readonly ofResponse: readonly ResponseCheck[]
  readonly ofSingle: readonly SingleCheck[]
}

/** What is known of all responses; of one certificate nothing is. */
export type SeriesContext = Omit<LintContext, 'meant' | 'question' | 'certificates'>

export class LintSeries {
  readonly #context: LintContext
  /** Stands in the context; its one element is that of the response at hand. */
  readonly #meant: MeantSingle[] = []
  readonly #forms: Form[] = []

  constructor(context: SeriesContext) {
    const { profile, now, issuer, responder, meantExtensions, archiveCutoff } = context
    this.#context = {
      ...(profile !== undefined && { profile }),
      ...(now !== undefined && { now }),
      ...(issuer !== undefined && { issuer }),
      ...(responder !== undefined && { responder }),
      ...(meantExtensions !== undefined && { meantExtensions }),
      ...(archiveCutoff !== undefined && { archiveCutoff }),
      meant: this.#meant,
    }
  }

  /**
   * Finds in a response what `lint` finds.
   * @param meant the one SingleResponse that the response has to have
   * @returns a report that holds until the next call
   */
  judge(der: Uint8Array, meant: MeantSingle): LintReport {
    this.#meant[0] = meant
    for (const form of this.#forms) if (isAlike(form, der) && isFaultless(form)) return form.report
    if (this.#forms.length >= MAX_FORMS) return lint(der, this.#context)
    const octets = der.slice()
    const report = lint(octets, this.#context)
    const form = formOf(octets, report, this.#context)
    if (form !== undefined) this.#forms.push(form)
    return report
  }
}

/** Of those about good certificates, which are nearly all: what is said of a revoked one stands in few others. */
function formOf(octets: Uint8Array, report: LintReport, context: LintContext): Form | undefined {
  const { basic, octets: response, findings } = report
  const [one, another] = basic?.tbsResponseData.responses ?? []
  if (basic === undefined || response === undefined || one === undefined || another !== undefined)
    return undefined
  if (findings.length > 0 || one.certStatus.type !== 'good' || octets.byteOffset % 4 !== 0) return undefined
  const { serialNumber } = one.certID
  const { signature } = basic
  const known = knownOf(context, true)
  const judged = new Judged(basic, context, { response, size: octets.length })
  const words = wordsOf(octets)
  return {
    octets,
    words,
    last: words,
    serialAt: serialNumber.byteOffset - octets.byteOffset,
    serialEnd: serialNumber.byteOffset - octets.byteOffset + serialNumber.length,
    signatureAt: signature.byteOffset - octets.byteOffset,
    signatureEnd: signature.byteOffset - octets.byteOffset + signature.length,
    report,
    judged,
    ofResponse: responseChecks.filter((check) => isOfEach(check) && applies(check, judged, known)),
    ofSingle: singleChecks.filter((check) => isOfEach(check) && appliesToSingle(check, one, known)),
  }
}

function isOfEach({ needs }: ResponseCheck | SingleCheck): boolean {
  return (needs & OF_EACH) !== 0
}

/** Makes the copy the same as the response, if that takes no more than serial number and signature. */
function isAlike(form: Form, der: Uint8Array): boolean {
  const { octets, words, serialAt, serialEnd, signatureAt, signatureEnd } = form
  if (der.length !== octets.length || der.byteOffset % 4 !== 0) return false
  if (!isMinimalInteger(der, serialAt, serialEnd)) return false
  for (let i = serialAt; i < serialEnd; i += 1) octets[i] = der[i] ?? 0
  for (let i = signatureAt; i < signatureEnd; i += 1) octets[i] = der[i] ?? 0
  if (form.last.buffer !== der.buffer || form.last.byteOffset !== der.byteOffset) form.last = wordsOf(der)
  const other = form.last
  for (let i = 0; i < words.length; i += 1) if (words[i] !== other[i]) return false
  for (let i = words.length * 4; i < octets.length; i += 1) if (octets[i] !== der[i]) return false
  return true
}

/** As many octets as make whole words. */
function wordsOf(octets: Uint8Array): Int32Array {
  return new Int32Array(octets.buffer, octets.byteOffset, octets.length >> 2)
}

/** What the reader asks of the octets of an INTEGER (X.690 8.3.2), which is all that it asks of those that change. */
function isMinimalInteger(der: Uint8Array, start: number, end: number): boolean {
  const [first = 0, second = 0] = [der[start], der[start + 1]]
  return end - start < 2 || !((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
}

function isFaultless({ judged, ofResponse, ofSingle }: Form): boolean {
  for (const check of ofResponse) if (check.isWrong(judged) !== false) return false
  const [one] = judged.data.responses
  if (one === undefined) return false
  for (const check of ofSingle) if (check.isWrong(one, judged, 0) !== false) return false
  return true
}
