/**
 * Stands for @noble/hashes in the Worker (wrangler.toml, `[alias]`). pkijs hashes with it for PKCS #12 alone, which nothing here
 * reads, and no bundler can tell (ADR 0009). Everything else is hashed by WebCrypto.
 */
function noHash(): never {
  throw new Error('PKCS #12 is not read here')
}

export { noHash as sha1, noHash as sha256, noHash as sha384, noHash as sha512 }
