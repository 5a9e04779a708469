/**
 * Pages of issuers in KV, looked after. A page is written after the change that it tells of was committed: whoever was to write it
 * may have died of it, or come back with an older one after the next. Without a page of its own a cold isolate needs the record.
 */
import type { Clock, DerivedStore, StatusStore } from '../ports/ports.ts'
import type { IssuerRecord, Sequence } from '../ports/records.ts'
import type { RecoveryStore } from '../ports/recovery-store.ts'

/** Longer than anybody lives who might still write an older page. */
const WATCHED_MS = 3_600_000
/** In one run, the latest changed first: a read of KV each. More at a time is an import, and `edge-ocsp rebuild` writes all. */
const PAGES_A_RUN = 50

export interface IssuerPagePorts {
  readonly recovery: Pick<RecoveryStore, 'reconfiguredSince'>
  readonly status: Pick<StatusStore, 'readIssuer'>
  readonly derived: Pick<DerivedStore, 'readIssuerPage' | 'writeIssuerPage'>
  readonly clock: Clock
  readonly encodePage: (issuer: IssuerRecord) => Uint8Array
  /** @throws for anything that is no page */
  readonly decodePage: (bytes: Uint8Array) => IssuerRecord
}

/** @returns how many pages were missing or behind. @throws StorageError */
export async function repairIssuerPages(ports: IssuerPagePorts): Promise<number> {
  const since = (ports.clock.nowMs() - WATCHED_MS) * 1_000
  let written = 0
  for (const { id, configRev } of await ports.recovery.reconfiguredSince(since, PAGES_A_RUN)) {
    if ((await pageRev(ports, id)) >= configRev) continue
    const issuer = await ports.status.readIssuer(id)
    if (issuer === undefined) continue
    await ports.derived.writeIssuerPage(id, ports.encodePage(issuer))
    written += 1
  }
  return written
}

/** 0 for none, and for one that cannot be read. */
async function pageRev({ derived, decodePage }: IssuerPagePorts, id: number): Promise<Sequence> {
  const bytes = await derived.readIssuerPage(id)
  if (bytes === null) return 0
  try {
    const page = decodePage(bytes)
    return page.id === id ? page.configRev : 0
  } catch {
    return 0
  }
}
