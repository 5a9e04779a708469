/** Half of the random interleavings (test/laws/interleavings.ts); the other half runs beside it. */
import { interleavings } from './interleavings.ts'

interleavings(1, 2)
