/** Every client of the matrix, in the order of the table's rows. */
import { APACHE, APACHE_ERRORS_OFF } from './apache.ts'
import type { MatrixClient } from './client.ts'
import { CURL } from './curl.ts'
import { EDGE_OCSP } from './edge-ocsp.ts'
import { GNUTLS } from './gnutls.ts'
import { GO } from './go.ts'
import { HAPROXY } from './haproxy.ts'
import { JAVA } from './java.ts'
import { NGINX } from './nginx.ts'
import { OPENSSL } from './openssl.ts'
import { PYTHON } from './python.ts'
import { RUBY } from './ruby.ts'

export const CLIENTS: readonly MatrixClient[] = [
  OPENSSL,
  GNUTLS,
  JAVA,
  PYTHON,
  RUBY,
  GO,
  EDGE_OCSP,
  NGINX,
  APACHE,
  APACHE_ERRORS_OFF,
  HAPROXY,
  CURL,
]
