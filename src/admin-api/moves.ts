/** Moving certificates of an issuer between databases: what the admin API takes for it and answers. */
import * as z from 'zod/mini'

const Database = z.int().check(z.gte(0), z.lte(15))

/** Where the certificates are to be in the end: some digits in one database, or all of them dealt to several. */
const placement = {
  /** First hex digits of the hashes of their serials, e.g. `8-f` or `0,4-7`; with `to`. */
  digits: z.optional(
    z
      .string()
      .check(z.regex(/^[0-9a-f](-[0-9a-f])?(,[0-9a-f](-[0-9a-f])?)*$/i, 'expected hex digits, such as 8-f')),
  ),
  to: z.optional(Database),
  /** Dealt to evenly, the lowest digits to the first, as those of a new issuer. */
  databases: z.optional(z.array(Database).check(z.minLength(1), z.maxLength(16))),
}
const isOneOf = z.refine<{ digits?: unknown; to?: unknown; databases?: unknown }>(
  ({ digits, to, databases }) =>
    (digits === undefined) === (to === undefined) && (digits === undefined) !== (databases === undefined),
  'expected digits and to, or databases',
)

export const MovePlanInput = z.strictObject(placement).check(isOneOf)
export const MoveInput = z
  .strictObject({
    ...placement,
    /** false: does not wait until most of what has been copied is in bundles; it is signed as it is asked for. Default true. */
    built: z.optional(z.boolean()),
  })
  .check(isOneOf)

const When = z.string().check(z.meta({ format: 'date-time' }))

export const MoveView = z.object({
  digits: z.string(),
  from: z.number(),
  to: z.number(),
  phase: z.enum([
    'begun',
    'copying',
    'verifying',
    'barred',
    'claimed',
    'givenUp',
    'purging',
    'done',
    'aborted',
  ]),
  /** Of the walk that is under way, 0 to 1. */
  share: z.number(),
  copied: z.number(),
  verified: z.number(),
  /** That the comparison found different, and copied again. */
  repaired: z.number(),
  purged: z.number(),
  startedAt: When,
  endedAt: z.nullable(When),
  /** Why it cannot go on. */
  problem: z.nullable(z.string()),
})

const Placement = z.array(z.object({ database: z.number(), digits: z.string() }))

export const MoveState = z.object({
  issuer: z.string(),
  /** Everything is where it is wanted. */
  done: z.boolean(),
  /** Which database answers for what. */
  placement: Placement,
  move: z.nullable(MoveView),
  /** Repeat the call then; null: at once, unless it is done or there is a problem. */
  waits: z.nullable(
    z.object({
      for: z.enum(['publication', 'otherMove', 'bound', 'bundles']),
      until: z.optional(When),
      slots: z.optional(z.number()),
    }),
  ),
})

export const MoveList = z.object({
  issuer: z.string(),
  placement: Placement,
  /** Newest first; the first is under way unless it has ended. */
  moves: z.array(MoveView),
  /** Copied, of the last moves; null: there were none. */
  rowsPerSecond: z.nullable(z.number()),
})

export const MovePlan = z.object({
  issuer: z.string(),
  placement: Placement,
  /** One after the other. */
  moves: z.array(
    z.object({
      digits: z.string(),
      from: z.number(),
      to: z.number(),
      /** Certificates, about: as the bundles count them. */
      rows: z.number(),
    }),
  ),
  rowsPerSecond: z.nullable(z.number()),
  /** What every move waits for, at least. */
  waitSeconds: z.number(),
})

export type MoveInput = z.input<typeof MoveInput>
export type MovePlanInput = z.input<typeof MovePlanInput>
export type MoveView = z.infer<typeof MoveView>
export type MoveState = z.infer<typeof MoveState>
export type MoveList = z.infer<typeof MoveList>
export type MovePlan = z.infer<typeof MovePlan>
