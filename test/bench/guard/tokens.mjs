import { createHmac, createPrivateKey, randomBytes, sign } from 'node:crypto'

const signers = {
  HS256: (key) => (text) => createHmac('sha256', key).update(text).digest('base64url'),
  ES256 (pem) {
    const key = { key: createPrivateKey(pem), dsaEncoding: 'ieee-p1363' }
    return (text) => sign('sha256', Buffer.from(text), key).toString('base64url')
  },
  EdDSA (pem) {
    const key = createPrivateKey(pem)
    return (text) => sign(null, Buffer.from(text), key).toString('base64url')
  }
}

/** Makes tokens like a given one, valid and never seen before: each has a `jti` of its own, and what else is to differ. */
export function tokenMaker (token, algorithm, key, header) {
  const [given, body] = token.split('.')
  const head = header === undefined ? given : Buffer.from(JSON.stringify(header)).toString('base64url')
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
  const signatureOf = signers[algorithm](key)
  return (changes) => {
    const payload = JSON.stringify({ ...claims, jti: randomBytes(16).toString('base64url'), ...changes })
    const text = `${head}.${Buffer.from(payload).toString('base64url')}`
    return `${text}.${signatureOf(text)}`
  }
}

/** The same with another signature: of a token, or of a signed cookie. */
export function forge (signed) {
  const start = signed.lastIndexOf('.') + 1
  return `${signed.slice(0, start)}${signed[start] === 'A' ? 'B' : 'A'}${signed.slice(start + 1)}`
}

/** The line of a request that carries a token. */
export function bearer (token) {
  return `authorization: Bearer ${token}`
}
