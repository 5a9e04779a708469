/** What roots name, where nothing is to be found under any name. */
import { directoryMemory } from '../../src/overlay/directory.ts'
import type { OverlayPages } from '../../src/overlay/view.ts'
import { StorageError } from '../../src/ports/errors.ts'
import type { Clock } from '../../src/ports/ports.ts'

export function noPages(clock: Clock): OverlayPages {
  return {
    directory: directoryMemory({
      derived: { readPage: async () => null },
      cache: { match: async () => undefined, put: async () => undefined },
      record: {
        readDirectoryPage: () => Promise.reject(new StorageError('unavailable', 'away')),
      },
      latestPosition: () => 0,
      clock,
      background: () => undefined,
    }),
  }
}
