/** Requests that are no HTTP, or of a kind that nobody sends; none of them may be answered as if all were well. */
export const ODD_REQUESTS: readonly string[] = [
  'GET /me HTTP/1.1\r\n\r\n', 'GET /me HTTP/9.9\r\nHost: x\r\n\r\n', 'GET\r\n\r\n', '\0\r\n\r\n', 'GET /me\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  `GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${'x'.repeat(20_000)}\r\nConnection: close\r\n\r\n`, `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  `GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${Array.from({ length: 300 }, (_, index) => `X-${index}: x\r\n`).join('')}Cookie: ${'a=b; '.repeat(300)}\r\n\r\n`,
  `GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: %=%; a=%E0%A4%A; =; ;;\r\nUser-Agent: \xff\xfe${'x'.repeat(3000)}\r\n\r\n`,
  'POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n', 'POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -1\r\nConnection: close\r\n\r\n{}',
  'POST /logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', 'POST /refresh HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n',
  'GET /me HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n', 'GET /me HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n'
]

/** Lines of a header that hold a token with what no line may hold in or around it. */
export function oddLines (name: string, lead: string, token: string): string[] {
  const spoil = (text: string): string => `${lead}${token.slice(0, 20)}${text}${token.slice(20)}`
  const [before, after] = [lead.slice(0, -1), lead.slice(-1)]
  const values = [
    spoil('\0'), spoil('\r'), spoil('\n'), spoil('\r\n '), spoil('\r\n\t'), `${before}\r\n${after}${token}`, `\r\n ${lead}${token}`, `${before}\0${token}`, `${lead}${token}\0`, `${lead}\0${token}`, spoil('\x80'), spoil('\xff'), spoil('\u00a0'),
    spoil('\xc3\xa9'), spoil('\x0b'), spoil('\x0c'), spoil('\x1b'), spoil('\x7f'), `${lead}x\r\nX-Injected: 1`, `${lead}${token.slice(0, 9)}\rX-Injected: 1`, `${lead}x\nX-Injected: 1`, `${lead}x%0d%0aX-Injected:%201`,
    `${before}\u00a0${token}`, `\u00a0${lead}${token}`, `${before}\x0b${token}`, `${before}\x0c${token}`
  ]
  const lines = [`${name} : ${lead}${token}`, ` ${name}: ${lead}${token}`, `${name.slice(0, 5)}\0${name.slice(5)}: ${lead}${token}`, `${name}\0: ${lead}${token}`, `${name}\t: ${lead}${token}`, `${name.slice(0, -2)}\xf6n: ${lead}${token}`]
  return [...values.map((value) => `${name}: ${value}`), ...lines]
}
