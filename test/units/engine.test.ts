import { constants, sign } from 'node:crypto'
import t from 'tap'
import { createEngine } from '../../lib/engine'
import { readKey } from '../../lib/keys'
import { makeKey } from '../support/keys'
import type { KeyAlgorithm } from '../../types'

const PAYLOAD = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'

/** Signatures that others made, with their keys: RFC 7515 appendices A.1 to A.3, RFC 8037 appendix A.4. */
const EXAMPLES = [
  {
    algorithm: 'HS256',
    key: { secret: Buffer.from('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', 'base64url') },
    text: `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${PAYLOAD}`,
    signature: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
  },
  {
    algorithm: 'RS256',
    key: {
      publicKey: {
        kty: 'RSA',
        e: 'AQAB',
        n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ'
      }
    },
    text: `eyJhbGciOiJSUzI1NiJ9.${PAYLOAD}`,
    signature: 'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw'
  },
  {
    algorithm: 'ES256',
    key: { publicKey: { kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' } },
    text: `eyJhbGciOiJFUzI1NiJ9.${PAYLOAD}`,
    signature: 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q'
  },
  {
    algorithm: 'EdDSA',
    key: { publicKey: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' } },
    text: 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc',
    signature: 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg'
  }
] as const

const engineOf = (algorithm: KeyAlgorithm, key: object) => createEngine(readKey('key', { kid: 'a', algorithm, ...key }), {})

t.test('the examples of the standards are right, and nothing near them', async (t) => {
  for (const { algorithm, key, text, signature } of EXAMPLES) {
    const { isSigned } = engineOf(algorithm, key)
    const right = Buffer.from(signature, 'base64url')
    t.equal(isSigned(text, right), true, algorithm)
    t.equal(isSigned(`${text}A`, right), false, `${algorithm}: of another text`)
    // Its low byte is that of the first letter.
    t.equal(isSigned(String.fromCharCode(text.charCodeAt(0) + 0x100) + text.slice(1), right), false, `${algorithm}: of letters that are like it`)
    const wrong = [
      ...Array.from({ length: right.length * 8 }, (_, bit) => Buffer.from(right.map((byte, index) => index === bit >> 3 ? byte ^ 1 << (bit & 7) : byte))),
      ...Array.from({ length: 600 }, (_, length) => [0, 1, 255].map((fill) => Buffer.alloc(length, fill))).flat(),
      ...Array.from({ length: right.length }, (_, length) => right.subarray(0, length)),
      Buffer.concat([right, Buffer.alloc(1)]), Buffer.concat([Buffer.alloc(1), right]), Buffer.concat([right, right])
    ]
    t.same(wrong.filter((bytes) => isSigned(text, bytes)), [], `${algorithm}: another signature`)
  }
})

t.test('a signature of one key is right in the one form that its algorithm has', async (t) => {
  const text = 'a.b'
  const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING } = constants
  const pss = (saltLength: number) => ({ padding: RSA_PKCS1_PSS_PADDING, saltLength })
  const forms = {
    RS256: { right: [{ padding: RSA_PKCS1_PADDING }], wrong: [pss(32), pss(0)] },
    PS256: { right: [pss(32)], wrong: [pss(0), pss(20), pss(31), pss(33), pss(64), { padding: RSA_PKCS1_PADDING }] },
    ES256: { right: [{ dsaEncoding: 'ieee-p1363' }], wrong: [{ dsaEncoding: 'der' }] }
  } as const
  for (const [algorithm, { right, wrong }] of Object.entries(forms)) {
    const { option, signs } = makeKey(algorithm as KeyAlgorithm, 'a')
    const { isSigned } = createEngine(readKey('key', option), {})
    const found = (options: object, hash = 'sha256') => isSigned(text, sign(hash, Buffer.from(text), { key: signs, ...options }))
    for (const form of right) t.equal(found(form), true, `${algorithm} ${JSON.stringify(form)}`)
    for (const form of wrong) t.equal(found(form), false, `${algorithm} ${JSON.stringify(form)}`)
    for (const hash of ['sha1', 'sha384', 'sha512']) for (const form of right) t.equal(found(form, hash), false, `${algorithm} over ${hash}`)
  }
})

t.test('a signature of another algorithm or another key is wrong', async (t) => {
  const algorithms: KeyAlgorithm[] = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA']
  const engines = algorithms.flatMap((algorithm) => ['a', 'b'].map((kid) => createEngine(readKey('key', makeKey(algorithm, kid).option), {})))
  const tokens = engines.map((engine) => engine.sign?.('at+jwt', { sub: 'ada' }) as string)
  for (const [index, { key, isSigned }] of engines.entries()) {
    const right = tokens.map((token) => isSigned(token.slice(0, token.lastIndexOf('.')), Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url')))
    t.same(right, tokens.map((_, other) => other === index), `${key.algorithm} ${key.kid}`)
  }
})
