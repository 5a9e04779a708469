/** What the admin API answers. Times are RFC 3339 in UTC; serials, hashes and SKIs lower-case hex; certificates PEM. */
import * as z from 'zod/mini'
import {
  ArchiveCutoffName,
  CertHash,
  HashName,
  NonceName,
  ProfileName,
  REASON_NAMES,
  SCTList,
  SignatureAlgorithmName,
  SignedRequestsName,
  UnknownName,
} from './fields.ts'

const Time = z.string().check(z.meta({ format: 'date-time' }))

export const ERROR_CODES = [
  'badRequest',
  'invalidJSON',
  'invalidField',
  'unknownField',
  'unauthorized',
  'insecureTransport',
  'notFound',
  'methodNotAllowed',
  'conflict',
  'bodyTooLarge',
  'certificateUnreadable',
  'certificateRefused',
  'keyUnreadable',
  'keyMismatch',
  'policyRefused',
  'changeRefused',
  'lastResponder',
  'secretMissing',
  'storageUnavailable',
  'signerUnavailable',
  'internalError',
] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

/** Something found in a certificate or a policy. An `error` refuses, a `warning` is accepted and said. */
export const Finding = z.object({
  level: z.enum(['error', 'warning']),
  code: z.string(),
  message: z.string(),
})

/** Body of every answer that is not 2xx. */
export const ErrorBody = z.object({
  error: z.object({
    code: z.enum(ERROR_CODES),
    /** What is wrong. */
    message: z.string(),
    /** Where: path of the field, e.g. `certificates[3].serial`. */
    field: z.optional(z.string()),
    /** What to do about it. */
    hint: z.optional(z.string()),
    /** All findings of a refused certificate, policy or body, warnings included. */
    findings: z.optional(z.array(Finding)),
  }),
})

/** Whether a committed change has left for the edge. */
export const Publication = z.object({
  /** When the overlay root with this change was put; null: committed, not yet published (the next minute tries again). */
  publishedAt: z.nullable(Time),
  /** Version of that root. */
  rootVersion: z.nullable(z.number()),
  /** So long after publishing, no place answers with an older revision. */
  boundSeconds: z.number(),
  /** Why publishing did not succeed, when `publishedAt` is null. */
  problem: z.optional(z.string()),
})

export const Policy = z.object({
  profile: ProfileName,
  unknown: UnknownName,
  nonce: NonceName,
  validitySeconds: z.number(),
  maxAge: z.union([z.enum(['next-update', 'refresh']), z.number()]),
  hashes: z.array(HashName),
  retainSeconds: z.number(),
  signedRequests: SignedRequestsName,
  /** PEM. */
  requestors: z.array(z.string()),
  archiveCutoff: ArchiveCutoffName,
  /** null: that of the newest responder. */
  algorithm: z.nullable(SignatureAlgorithmName),
})

export const Responder = z.object({
  id: z.number(),
  name: z.string(),
  kind: z.enum(['delegated', 'ca']),
  /** `active` signs new windows; `standby` is valid, an older one than the active; the others do not sign. */
  state: z.enum(['active', 'standby', 'notYetValid', 'expired', 'retired']),
  algorithm: SignatureAlgorithmName,
  custody: z.enum(['wrapped', 'secret']),
  secretName: z.optional(z.string()),
  /** SHA-1 of the public key: the byKey of its responses. */
  keyHash: z.string(),
  notBefore: Time,
  notAfter: Time,
  /** PEM; absent when the CA signs itself. */
  certificate: z.optional(z.string()),
})

/** What one of several databases has of an issuer. */
export const IssuerShare = z.object({
  database: z.number(),
  /** The hex digits with which the hashes of its serials begin, such as `0-7`; empty: none. */
  digits: z.string(),
  /** Another may have the newer claim to them; this one has. */
  moving: z.boolean(),
  fresh: z.boolean(),
})

export const Issuer = z.object({
  id: z.number(),
  name: z.string(),
  ski: z.string(),
  subject: z.optional(z.string()),
  enabled: z.boolean(),
  notBefore: Time,
  notAfter: Time,
  policy: Policy,
  configRev: z.number(),
  /** Path of the DER certificate at this Worker. */
  certificatePath: z.string(),
  certificate: z.string(),
  /** Since when the CA's key is compromised: every serial is revoked. null: it is not. */
  compromisedAt: z.nullable(Time),
  /** Since when responses are final and the record stands still; null: they are not. */
  finalAt: z.nullable(Time),
  responders: z.array(Responder),
  /** Where there are several databases, or another had some of it: what each has. */
  databases: z.optional(z.array(IssuerShare)),
  /** The databases do not have the same configuration of it: the last change was not completed. */
  partsDiffer: z.optional(z.literal(true)),
})

export const IssuerList = z.object({
  issuers: z.array(Issuer),
  /** `after` of the next page; null: that was the last. */
  next: z.nullable(z.number()),
})
export const ResponderList = z.object({ issuer: z.string(), responders: z.array(Responder) })

/** After a change of an issuer, its policy or its responders. */
export const IssuerChange = z.extend(Publication, { issuer: Issuer, warnings: z.array(Finding) })
export const ResponderChange = z.extend(IssuerChange, { responder: Responder })
export const FloorRaised = z.extend(IssuerChange, { floor: z.number() })

export const Certificate = z.object({
  issuer: z.string(),
  serial: z.string(),
  /** `released`: good again after a hold. `reserved`: not reported as issued yet. */
  status: z.enum(['good', 'revoked', 'hold', 'released', 'reserved']),
  revocationTime: z.optional(Time),
  reason: z.optional(z.enum(REASON_NAMES)),
  notBefore: z.optional(Time),
  notAfter: z.optional(Time),
  /** Of the last status transition. */
  changedAt: z.optional(Time),
  /** The certificate of a CA. */
  ca: z.optional(z.literal(true)),
  certHash: z.optional(CertHash),
  scts: z.optional(SCTList),
  invalidityDate: z.optional(Time),
  crl: z.optional(
    z.object({ url: z.optional(z.string()), number: z.optional(z.string()), time: z.optional(Time) }),
  ),
  revision: z.number(),
})

export const CertificateOutcome = z.object({
  serial: z.string(),
  outcome: z.enum(['added', 'changed', 'unchanged', 'refused']),
  /** Why it was refused. */
  message: z.optional(z.string()),
  line: z.optional(z.number()),
})

export const CertificatesResult = z.extend(Publication, {
  /** In the order of the request. */
  results: z.array(CertificateOutcome),
  added: z.number(),
  changed: z.number(),
  unchanged: z.number(),
  refused: z.number(),
  /** Status changes of this call are committed that no published root knows yet. New `good` rows need no publishing. */
  needsPublish: z.boolean(),
})

/** After a revocation, hold or release. */
export const StatusChange = z.extend(Publication, {
  issuer: z.string(),
  serial: z.string(),
  outcome: z.enum(['changed', 'unchanged']),
  /** Sequence of the change (of the last one, when nothing changed). */
  revision: z.number(),
  certificate: Certificate,
  warnings: z.array(Finding),
})

export const PresignResult = z.object({
  /** Bundles built. */
  built: z.number(),
  signatures: z.number(),
  failed: z.number(),
  /** Slots still due: call again until 0. */
  remaining: z.number(),
  /** Why slots failed, one line each. */
  problems: z.optional(z.array(z.string())),
})

export const RebuildResult = z.extend(Publication, {
  /** Bundles that are due now. */
  slots: z.number(),
  /** Pages of issuers that were written again. */
  issuerPages: z.number(),
  /** Send it as `after` for the pages of the other issuers; null: all are written. */
  next: z.nullable(z.number()),
})

/** A certificate that is put on hold and released all the time, to measure how long a change takes to be seen. */
export const Canary = z.object({
  issuer: z.string(),
  serial: z.string(),
  enabled: z.boolean(),
  /** Of the last change; null: there was none yet. */
  changedAt: z.nullable(Time),
  /** Changes seen where the cron runs, and those that took longer than the bound. */
  rounds: z.number(),
  late: z.number(),
  lastSeconds: z.nullable(z.number()),
  worstSeconds: z.nullable(z.number()),
})
export const CanaryList = z.object({ canaries: z.array(Canary) })
export const CanaryChange = z.object({
  issuer: z.string(),
  serial: z.string(),
  status: z.enum(['hold', 'released']),
  revision: z.number(),
  boundSeconds: z.number(),
})

export const AuditRow = z.object({
  id: z.number(),
  at: Time,
  issuer: z.nullable(z.number()),
  action: z.string(),
  serial: z.nullable(z.string()),
  /** The issuer's sequence after the change; 0 when it has none. */
  revision: z.number(),
  detail: z.record(z.string(), z.unknown()),
})
export const AuditList = z.object({
  rows: z.array(AuditRow),
  next: z.nullable(z.number()),
  /** Where there are several: each has an audit of its own. */
  databases: z.optional(z.array(z.number())),
})

/** A reason not to be ready, and the step that ends it. */
export const Problem = z.object({
  code: z.string(),
  message: z.string(),
  step: z.string(),
  issuer: z.optional(z.string()),
})
export const Readiness = z.object({ ready: z.boolean(), problems: z.array(Problem) })

export const IssuerStatus = z.object({
  id: z.number(),
  name: z.string(),
  enabled: z.boolean(),
  /** The record is behind what was published (a restored backup): nothing is signed until `thaw`. */
  frozen: z.boolean(),
  /** As of Issuer. */
  compromisedAt: z.nullable(Time),
  finalAt: z.nullable(Time),
  usableResponders: z.number(),
  /** Nearest end of a responder that is not retired. */
  responderNotAfter: z.nullable(Time),
  /** Sequence of the last change, up to where the published root knows it, and below what nothing is usable. */
  head: z.number(),
  published: z.number(),
  floor: z.number(),
  /** 2^k slots, of which so many are due or failed at their last build. */
  k: z.number(),
  slotsDue: z.number(),
  slotsFailing: z.number(),
  /** Certificates in bundles, and those recorded since. */
  entries: z.number(),
  added: z.number(),
  oldestThisUpdate: z.nullable(Time),
  nearestNextUpdate: z.nullable(Time),
  /** As of Issuer. */
  databases: z.optional(z.array(IssuerShare)),
})

export const Run = z.object({
  job: z.string(),
  /** Of several. */
  database: z.optional(z.number()),
  finishedAt: Time,
  ok: z.boolean(),
  built: z.number(),
  signatures: z.number(),
  failed: z.number(),
  remaining: z.number(),
  error: z.optional(z.string()),
})

export const Status = z.extend(Readiness, {
  now: Time,
  boundSeconds: z.number(),
  issuers: z.array(IssuerStatus),
  slotsDue: z.number(),
  oldestThisUpdate: z.nullable(Time),
  nearestNextUpdate: z.nullable(Time),
  lastPublishedAt: z.nullable(Time),
  rootVersion: z.number(),
  /** Changes that the root names itself. */
  overlayItems: z.number(),
  /** Segments of older changes, and how many are in them. */
  overlaySegments: z.number(),
  overlaySegmentItems: z.number(),
  /** The last run of each job, in each database. */
  runs: z.array(Run),
  /** Where there are several. Sums are then of those that answer, and what was published is of the one furthest behind. */
  databases: z.optional(
    z.array(
      z.object({
        database: z.number(),
        /** Its binding. */
        name: z.string(),
        up: z.boolean(),
        slotsDue: z.number(),
        lastPublishedAt: z.nullable(Time),
        rootVersion: z.number(),
      }),
    ),
  ),
  counters: z.record(z.string(), z.number()),
  /** Re-signing over a queue; null: there never was one. */
  queue: z.nullable(
    z.object({
      /** Slots in the queue, and slots that somebody builds. */
      waiting: z.number(),
      building: z.number(),
      /** The last plan: slots due, slots sent, in so many messages. */
      plannedAt: z.nullable(Time),
      due: z.number(),
      planned: z.number(),
      messages: z.number(),
      /** The last message that was handled, the last that was given up. */
      handledAt: z.nullable(Time),
      deadAt: z.nullable(Time),
    }),
  ),
  /** Measured over the last runs that had something to sign; null: there was none. */
  signing: z.nullable(
    z.object({
      bundlesPerSecond: z.number(),
      signaturesPerSecond: z.number(),
      /** For what is due now, waits in the queue or is being built, at that rate, signing without a break. */
      secondsLeft: z.number(),
    }),
  ),
})

export type Finding = z.infer<typeof Finding>
export type ErrorBody = z.infer<typeof ErrorBody>
export type Publication = z.infer<typeof Publication>
export type Policy = z.infer<typeof Policy>
export type Responder = z.infer<typeof Responder>
export type Issuer = z.infer<typeof Issuer>
export type IssuerList = z.infer<typeof IssuerList>
export type ResponderList = z.infer<typeof ResponderList>
export type IssuerChange = z.infer<typeof IssuerChange>
export type ResponderChange = z.infer<typeof ResponderChange>
export type FloorRaised = z.infer<typeof FloorRaised>
export type Certificate = z.infer<typeof Certificate>
export type CertificateOutcome = z.infer<typeof CertificateOutcome>
export type CertificatesResult = z.infer<typeof CertificatesResult>
export type StatusChange = z.infer<typeof StatusChange>
export type RebuildResult = z.infer<typeof RebuildResult>
export type Canary = z.infer<typeof Canary>
export type CanaryChange = z.infer<typeof CanaryChange>
export type PresignResult = z.infer<typeof PresignResult>
export type AuditRow = z.infer<typeof AuditRow>
export type AuditList = z.infer<typeof AuditList>
export type Problem = z.infer<typeof Problem>
export type Readiness = z.infer<typeof Readiness>
export type IssuerStatus = z.infer<typeof IssuerStatus>
export type Status = z.infer<typeof Status>
