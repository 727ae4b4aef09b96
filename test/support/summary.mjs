// Reads TAP, passes it on, and says at the end in one line what came of it.
import { Transform } from 'node:stream'

export default class Summary extends Transform {
  #tail = ''

  _transform (chunk, _encoding, done) {
    this.#tail = (this.#tail + chunk).slice(-4096)
    done(null, chunk)
  }

  _flush (done) {
    const counts = this.#tail.match(/^# (\{ total: .*\})$/m)?.[1] ?? ''
    const count = (name) => counts.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? '0'
    this.push(`${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped\n`)
    done()
  }
}
