/**
 * What one operation of the code takes, each figure beside the statement that it comes from. Rows are counted as D1 bills them
 * (meta.rows_read: every row that a statement steps over, in tables, indexes and JSON; meta.rows_written: every row of a table or
 * index that it changes, by a trigger too). `npm run plan:check` counts them in a run and compares.
 */
import type { KeyType } from '../../src/signing/algorithms.ts'

/** Rows of one operation. */
export interface Rows {
  readonly read: number
  readonly written: number
}

/** src/storage/certificate-plan.ts CHANGE_STATEMENTS, after requireIssuer of src/http/admin-routes.ts (7 rows). */
export const RECORDING = {
  /** Written: RAISE_SEQ writes the issuer, its index and, by trigger, the publisher's position; AUDIT a row and AUTOINCREMENT's own. */
  call: { read: 35, written: 5 },
  /** Seven statements make and walk the plan, 5 to 10 rows each. Written: ADD_ROWS. */
  row: { read: 45, written: 1 },
  /** MARK_SLOTS, for each slot that the rows of a call fall into. */
  slot: { read: 3, written: 0 },
  /** ... and where it is marked. */
  mark: { read: 0, written: 1 },
} satisfies Record<string, Rows>

/** src/storage/certificate-recycling.ts, where there are rows to write over: RECYCLE_STATEMENT makes the plan once more. */
export const RECYCLING = {
  /** Whether there are, and AUDIT_PRUNED: in each call of BULK_ROWS and more. */
  call: { read: 18, written: 0 },
  looking: { read: 7, written: 0 },
  lookedAt: { read: 1, written: 0 },
  /** Found again, and its triggers, less what ADD_ROWS would read. The row is written either way: it is in RECORDING.row. */
  recycled: { read: 8, written: 0 },
  /** AUDIT_PRUNED: a row, and AUTOINCREMENT's own. */
  recyclingCall: { read: 0, written: 2 },
} satisfies Record<string, Rows>

/** MARK_SLOTS: certificates that wait in a slot are counted one by one up to the first, then one in so many for all. */
export const COUNTED_SINGLY = 2
export const COUNTED_IN = 16

/**
 * One revocation: requireIssuer 7, the plan of one row 73, keep_until 1, requireRow 1. Written: RAISE_SEQ 3, ADD_ITEMS 2 (the row
 * and its index), MARK_SLOTS 1, AUDIT 2, CHANGE_ROWS 1.
 */
export const REVOKING: Rows = { read: 82, written: 9 }

/**
 * src/overlay/publisher.ts, each minute and after each revocation: LEASE 3, RECORD 3, the position, the issuers that changed, the
 * pages, segments and floors that the root names (one each at least), READ_TAILS 1, READ_TAIL 7.
 */
export const PUBLISHING: Rows = { read: 19, written: 2 }
/** READ_TAILS counts them, READ_TAIL of src/storage/segment-sql.ts counts once more, sorts and reads. */
export const TAIL_ITEM: Rows = { read: 4, written: 0 }
/** ADVANCE, when the issuer has changed since the last root; without a change it reads 4. */
export const ADVANCING: Rows = { read: 7, written: 1 }
export const NOT_ADVANCING: Rows = { read: 4, written: 0 }
/** Segmenting (SURVEY_TAIL: the tail twice more), paging and canaries look whether anything is to be done: in each run. */
export const OVERLAY_UPKEEP = { run: { read: 14, written: 0 }, item: { read: 2, written: 0 } }
/** Floors, old segments and old changes are looked after in one run of ten (PRUNE_RUNS in src/jobs/scheduled.ts). */
export const PRUNE_RUNS = 10
export const OVERLAY_PRUNING: Rows = { read: 20, written: 0 }
/** SEGMENT_LIMITS of src/overlay/segmenting.ts: the tail becomes a segment at so many items, and so many segments become one. */
export const TAIL_LIMIT = 2_000
export const SEGMENTS_MERGED = 8
/** Each item that goes into a segment is read so often (READ_RANGE, with its index). An estimate: it is a thousandth of the rest. */
export const SEGMENT_ITEM: Rows = { read: 3, written: 0 }
/** Octets of an item, and of the values that a segment is cut into (TARGET_BYTES of src/overlay/segment.ts, half full). */
export const ITEM_BYTES = 16
export const SEGMENT_VALUE_BYTES = 24_576
/** PRUNE of src/storage/d1-overlay-store.ts, when an item has ended: it looks at the oldest 5,000. */
export const ITEMS_LOOKED_AT = 5_000
export const PRUNED = { lookedAt: { read: 4, written: 0 }, item: { read: 1, written: 1 } }

/** SURVEY of src/storage/slot-rules.ts, and GROWING of slot-growth.ts: every slot; what is due once more in the sorting. */
export const SURVEY = {
  run: { read: 12, written: 0 },
  slot: { read: 1, written: 0 },
  due: { read: 5, written: 0 },
}
/** READ_SIGNING of src/storage/d1-slot-store.ts, in a run with something due. */
export const SIGNING_READ: Rows = { read: 3, written: 0 }
/** FULL of src/storage/slot-growth.ts: every slot. */
export const GROWTH = { run: { read: 1, written: 0 }, slot: { read: 1, written: 0 } }
/** With a queue slots are looked over for growth in one run of ten (GROWTH_RUNS in src/jobs/scheduled.ts), else in each. */
export const GROWTH_RUNS = 10

/** STRETCH in src/storage/prune.ts walks so many rows a run: PRUNE_ROWS of src/jobs/scheduled.ts times WALK_FACTOR. */
export const WALKED_ROWS = 10_000
export const PRUNING = {
  /** NEXT_ISSUERS 2, the issuer 1, MOVE_ON 3. */
  run: { read: 6, written: 1 },
  walked: { read: 1, written: 0 },
  /** DELETE finds each by its key. */
  deleted: { read: 7, written: 1 },
  /** AUDIT, in a run that deletes. */
  deletingRun: { read: 5, written: 2 },
}
/** recordRun of src/storage/globals.ts: a row, AUTOINCREMENT's own, and the 101st is dropped. */
export const RUN_RECORD: Rows = { read: 6, written: 3 }
/** DROP_RUNS looks twice through the last hundred of each job: cron, and with a queue its consumer. */
export const RUNS_LOOKED_AT = 200

/** src/signing/resign-slot.ts: lease 3, head 1, RECORD 3, counters 4; each row of the slot 1. Written: lease, record, two counters. */
export const BUILDING = {
  build: { read: 11, written: 4 },
  row: { read: 1, written: 0 },
  /** issuersOnce: the issuer and its responder, in each run that builds. */
  issuer: { read: 3, written: 0 },
}
/** src/jobs/fan-out.ts and consumer.ts: PLAN for each slot; each run its record; each message its count. */
export const FANNING_OUT = {
  slot: { read: 5, written: 1 },
  run: { read: 5, written: 3 },
  message: { read: 5, written: 3 },
}
/** In units of one P-256 signature: SIGNATURES_PER_MESSAGE in src/env.ts; and MAX_MESSAGE_SLOTS in src/jobs/resign-message.ts. */
export const MESSAGE_SIGNATURES = 50_000
export const MESSAGE_SLOTS = 100
/** A message is written, read and deleted. */
export const QUEUE_OPERATIONS = 3

/** READ_STATUSES of src/storage/d1-status-store.ts: the issuer, the JSON, the certificate. */
export const LIVE_STATUS: Rows = { read: 3, written: 0 }
/** REFRESH_MS in src/overlay/reader.ts. */
export const ROOT_SECONDS = 30
/** How long an isolate lives; an assumption, Cloudflare gives no number. */
export const ISOLATE_HOURS = 2

/** src/responder/windows.ts: by how much thisUpdate lies in the past, and by what share of the validity a window may be shorter. */
export const BACKDATE_SECONDS = 300
export const BACKDATE_SHARE = 10
export const JITTER_SHARE = 20

/** Slots: src/jobs/scheduled.ts MAX_SLOT_ENTRIES. */
export const SLOT_ENTRIES = 1_000
/** Octets of a serial number as public CAs make them. */
export const SERIAL_BYTES = 16
/** A delegated responder's certificate of P-256, docs/benchmarks.md. */
export const CERTIFICATE_BYTES = 450
/** A response of P-256 with it in DER, platform trial. */
export const RESPONSE_BYTES = 741

/**
 * Octets of a row of `certificates` with a serial of 16: a record of 13 header octets, issuer 1, hash 6, serial 16, dates 8, rev 8,
 * and 3 of the cell. Serials are random, so pages are two thirds full: 69 % (a B-tree's mean under random insertion).
 */
export const CERTIFICATE_ROW_BYTES = 55
export const PAGE_FILL = 0.69
/** A row of `audit` about one revocation. */
export const AUDIT_ROW_BYTES = 280

/** Processor time in ms. From memory and from a bundle: docs/benchmarks.md. */
export const CPU = {
  memory: 0.16,
  bundle: 0.26,
  /** Decoding, D1 and building of an answer that is signed now, without the signature. */
  live: 0.3,
  /** Of each response in a bundle that is built: encoded, read back and checked (bench "signing, encoding the bundle and checking it"). */
  check: 0.017,
  /** A signature beside bare crypto.subtle.sign: the signing loop's share (bench "signing loop"). */
  signingShare: 0.94,
  /** Of a certificate recorded: JSON, checks and SQL. An estimate. */
  recorded: 0.05,
  /** Of one item in a root that is encoded. */
  rootItem: 0.004,
}

/** What a key type means for size and time. Milliseconds of crypto.subtle.sign in workerd: platform trial. */
export interface Algorithm {
  readonly name: string
  readonly keyType: KeyType
  readonly signatureBytes: number
  readonly spkiBytes: number
  readonly signMs: number
  /** In units of one P-256 signature: signatureCost of src/signing/algorithms.ts. */
  readonly cost: number
}

export const ALGORITHMS = {
  'P-256': { name: 'P-256', keyType: 'P-256', signatureBytes: 71, spkiBytes: 91, signMs: 0.029, cost: 1 },
  'P-384': { name: 'P-384', keyType: 'P-384', signatureBytes: 103, spkiBytes: 120, signMs: 0.83, cost: 28 },
  'P-521': { name: 'P-521', keyType: 'P-521', signatureBytes: 138, spkiBytes: 158, signMs: 1.76, cost: 60 },
  Ed25519: { name: 'Ed25519', keyType: 'Ed25519', signatureBytes: 64, spkiBytes: 44, signMs: 0.03, cost: 1 },
  'RSA-2048': {
    name: 'RSA-2048',
    keyType: 'RSA',
    signatureBytes: 256,
    spkiBytes: 294,
    signMs: 0.89,
    cost: 30,
  },
  'RSA-4096': {
    name: 'RSA-4096',
    keyType: 'RSA',
    signatureBytes: 512,
    spkiBytes: 550,
    signMs: 7.1,
    cost: 240,
  },
} satisfies Record<string, Algorithm>

export type AlgorithmName = keyof typeof ALGORITHMS

export function algorithmNames(): readonly AlgorithmName[] {
  return ['P-256', 'P-384', 'P-521', 'Ed25519', 'RSA-2048', 'RSA-4096']
}
