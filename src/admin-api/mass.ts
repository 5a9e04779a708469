/** Revoking many at once, by query and by list: what the admin API takes for it and answers. */
import * as z from 'zod/mini'
import { Publication } from './answers.ts'
import { REASON_NAMES, Reason, Serial, Time } from './fields.ts'

/** Serials of one POST .../mass-revocations/serials. */
export const MAX_LISTED_PER_CALL = 5000
/** Rows that one POST .../mass-revocations changes, about. */
export const MAX_MASS_ROWS_PER_CALL = 50_000
/** The position of a walk that has come to its end. */
export const MASS_END = 4_294_967_296

const MassWhereFields = {
  /** Everything on record; no other condition then. */
  all: z.optional(z.literal(true)),
  /** notBefore: at or after; before. A certificate whose date is not recorded matches no condition on it. */
  issuedAfter: z.optional(Time),
  issuedBefore: z.optional(Time),
  /** notAfter: at or after; before. */
  expiresAfter: z.optional(Time),
  expiresBefore: z.optional(Time),
  /** As numbers, both ends included. */
  serialFrom: z.optional(Serial),
  serialTo: z.optional(Serial),
  /** Of the serial as openssl prints it: hex, an even number of digits, no 00 in front. */
  serialPrefix: z.optional(
    z
      .string()
      .check(
        z.minLength(1),
        z.maxLength(254),
        z.regex(/^[0-9a-f]+$/i, 'expected the first hex digits of the serial numbers'),
      ),
  ),
  /** Also serials that are only reserved; on its own it is no condition. */
  reserved: z.optional(z.boolean()),
}

/** Which certificates: all conditions that are given must hold. */
export const MassWhere = z
  .strictObject(MassWhereFields)
  .check(
    z.refine(
      ({ all, reserved: _, ...conditions }) => (all === true) !== Object.keys(conditions).length > 0,
      'expected at least one condition, or all: true and no other',
    ),
  )

const massFields = {
  where: MassWhere,
  /** As of a revocation; `certificateHold` holds. */
  reason: z.optional(Reason),
  /** Default: the minute in which the run began, however long it takes. */
  at: z.optional(Time),
}

export const MassRevocationInput = z.strictObject({
  ...massFields,
  /** About so many rows in this call; the rest in the next ones. Default 10,000. */
  limit: z.optional(z.int().check(z.gte(1), z.lte(MAX_MASS_ROWS_PER_CALL))),
  /** false: commit only; a run of many calls ends with one POST /publish (the next minute's cron does it too). */
  publish: z.optional(z.boolean()),
})

export const MassTallyInput = z.strictObject({
  ...massFields,
  /** Where to go on; default: the beginning. */
  cursor: z.optional(z.int().check(z.gte(0), z.lte(MASS_END))),
})

export const ListedRevocation = z.strictObject({
  serial: Serial,
  reason: z.optional(Reason),
  at: z.optional(Time),
})

export const ListedInput = z.strictObject({
  /** Each is checked by `ListedRevocation` on its own. */
  certificates: z.array(z.unknown()).check(z.minLength(1), z.maxLength(MAX_LISTED_PER_CALL)),
  /** For those that have none of their own. */
  reason: z.optional(Reason),
  at: z.optional(Time),
  /** Serials that are not recorded are recorded as revoked. Default: they are told. */
  add: z.optional(z.boolean()),
  /** Nothing is changed. */
  dryRun: z.optional(z.boolean()),
  publish: z.optional(z.boolean()),
})

const When = z.string().check(z.meta({ format: 'date-time' }))

export const MassRun = z.object({
  id: z.number(),
  issuer: z.string(),
  /** What was asked for. */
  where: z.record(z.string(), z.unknown()),
  status: z.enum(['revoked', 'hold']),
  reason: z.optional(z.enum(REASON_NAMES)),
  revocationTime: When,
  startedAt: When,
  updatedAt: When,
  done: z.boolean(),
  /** Of the record that is walked, 0 to 1. */
  share: z.number(),
  changed: z.number(),
  refused: z.number(),
})

const Refusal = z.object({ serial: z.string(), message: z.string() })

/** 2^k slots; those that become due, ascending. */
const SlotsDue = z.array(z.object({ k: z.number(), slots: z.array(z.number()) }))

export const MassRevocationResult = z.extend(Publication, {
  run: MassRun,
  /** By this call. */
  changed: z.number(),
  refused: z.array(Refusal),
  /** Sequence of the last change; 0 when nothing changed. */
  revision: z.number(),
  needsPublish: z.boolean(),
})

export const MassTallyResult = z.object({
  toChange: z.number(),
  /** Of those: on hold, reserved. */
  held: z.number(),
  reserved: z.number(),
  refused: z.array(Refusal),
  /** Match and stay as they are: revoked (or held) already; reserved. */
  already: z.number(),
  leftReserved: z.number(),
  /** Left out because a date that is asked about is not recorded. */
  undated: z.number(),
  slots: SlotsDue,
  /** Call again from here; null: that was all. */
  cursor: z.nullable(z.number()),
})

export const MassRuns = z.object({
  /** Newest first. */
  runs: z.array(MassRun),
  /** Measured over the last runs that changed anything; null: none did. */
  revocationsPerSecond: z.nullable(z.number()),
})

export const ListedProblem = z.object({
  /** Place in the request. */
  index: z.number(),
  serial: z.string(),
  outcome: z.enum(['notFound', 'refused']),
  message: z.string(),
})

export const ListedResult = z.extend(Publication, {
  added: z.number(),
  changed: z.number(),
  unchanged: z.number(),
  notFound: z.number(),
  refused: z.number(),
  /** What is not found or refused. */
  problems: z.array(ListedProblem),
  /** Of a dry run. */
  slots: SlotsDue,
  needsPublish: z.boolean(),
})

export type MassWhere = z.input<typeof MassWhere>
export type MassRevocationInput = z.input<typeof MassRevocationInput>
export type MassTallyInput = z.input<typeof MassTallyInput>
export type ListedRevocation = z.input<typeof ListedRevocation>
export type ListedInput = z.input<typeof ListedInput>
export type MassRun = z.infer<typeof MassRun>
export type MassRevocationResult = z.infer<typeof MassRevocationResult>
export type MassTallyResult = z.infer<typeof MassTallyResult>
export type MassRuns = z.infer<typeof MassRuns>
export type ListedResult = z.infer<typeof ListedResult>
