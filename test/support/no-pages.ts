/** What roots name, where nothing is to be found under any name. */
import { directoryMemory } from '../../src/overlay/directory.ts'
import { segmentMemory } from '../../src/overlay/segment.ts'
import type { OverlayPages } from '../../src/overlay/view.ts'
import { StorageError } from '../../src/ports/errors.ts'
import type { Clock } from '../../src/ports/ports.ts'

export function noPages(clock: Clock): OverlayPages {
  const nothing = {
    derived: { readPage: async () => null },
    cache: { match: async () => undefined, put: async () => undefined },
    clock,
    background: () => undefined,
  }
  const record = {
    readDirectoryPage: () => Promise.reject(new StorageError('unavailable', 'away')),
  }
  return {
    directory: directoryMemory({ ...nothing, record, latestPosition: () => 0 }),
    segments: segmentMemory(nothing),
  }
}
