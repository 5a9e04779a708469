/** Every client of the matrix, in the order of the table's rows. */
import type { MatrixClient } from './client.ts'
import { EDGE_OCSP } from './edge-ocsp.ts'
import { GNUTLS } from './gnutls.ts'
import { GO } from './go.ts'
import { JAVA } from './java.ts'
import { OPENSSL } from './openssl.ts'
import { PYTHON } from './python.ts'
import { RUBY } from './ruby.ts'

export const CLIENTS: readonly MatrixClient[] = [OPENSSL, GNUTLS, JAVA, PYTHON, RUBY, GO, EDGE_OCSP]
