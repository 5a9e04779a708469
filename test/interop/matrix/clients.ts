/** Every client of the matrix, in the order of the table's columns. */
import type { MatrixClient } from './client.ts'

export const CLIENTS: readonly MatrixClient[] = []
