import { crc32, deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = 8
const COLORS = 256

/** The same picture in a palette of its 256 most frequent colours: pictures of pages become a quarter as long, and look the same. */
export function withPalette (png: Buffer): Buffer {
  const chunks = Array.from(chunksOf(png))
  const header = chunks.find(({ type }) => type === 'IHDR')?.content as Buffer
  const [width, height, depth, kind] = [header.readUInt32BE(0), header.readUInt32BE(4), header[8], header[9]]
  if (depth !== 8 || (kind !== 2 && kind !== 6)) throw new Error('The picture is not made of bytes of red, green and blue')
  const channels = kind === 6 ? 4 : 3
  const pixels = unfiltered(inflateSync(Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ content }) => content))), width * channels, channels)

  const counts = new Map<number, number>()
  const colorAt = (index: number): number => pixels.readUIntBE(index * channels, 3)
  for (let index = 0; index < width * height; index++) counts.set(colorAt(index), (counts.get(colorAt(index)) ?? 0) + 1)
  const palette = Array.from(counts).sort(([, one], [, other]) => other - one).slice(0, COLORS).map(([color]) => color)
  const places = new Map(palette.map((color, place) => [color, place]))

  const rows = Buffer.alloc(height * (width + 1))
  for (let index = 0; index < width * height; index++) {
    const color = colorAt(index)
    let place = places.get(color)
    if (place === undefined) places.set(color, place = nearest(palette, color))
    rows[Math.floor(index / width) * (width + 1) + 1 + index % width] = place
  }

  const indexed = Buffer.from(header)
  indexed[9] = 3
  const colors = Buffer.alloc(palette.length * 3)
  palette.forEach((color, place) => colors.writeUIntBE(color, place * 3, 3))
  return Buffer.concat([
    png.subarray(0, SIGNATURE), chunk('IHDR', indexed), chunk('PLTE', colors), chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })), chunk('IEND', Buffer.alloc(0))
  ])
}

function nearest (palette: number[], color: number): number {
  const distances = palette.map((other) => [16, 8, 0].reduce((sum, shift) => sum + ((color >> shift & 255) - (other >> shift & 255)) ** 2, 0))
  return distances.indexOf(Math.min(...distances))
}

function * chunksOf (png: Buffer): Generator<{ type: string, content: Buffer }> {
  for (let at = SIGNATURE; at < png.length;) {
    const length = png.readUInt32BE(at)
    yield { type: png.toString('latin1', at + 4, at + 8), content: png.subarray(at + 8, at + 8 + length) }
    at += length + 12
  }
}

function chunk (type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(content.length)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}

/** Takes back the filters of PNG (RFC 2083 section 6), which foretell a byte from those to the left, above and above left. */
function unfiltered (lines: Buffer, width: number, channels: number): Buffer {
  const height = lines.length / (width + 1)
  const bytes = Buffer.alloc(width * height)
  for (let row = 0; row < height; row++) {
    const filter = lines[row * (width + 1)]
    for (let column = 0; column < width; column++) {
      const at = row * width + column
      const left = column < channels ? 0 : bytes[at - channels] as number
      const above = row === 0 ? 0 : bytes[at - width] as number
      const corner = row === 0 || column < channels ? 0 : bytes[at - width - channels] as number
      const foretold = filter === 1 ? left : filter === 2 ? above : filter === 3 ? (left + above) >> 1 : filter === 4 ? paeth(left, above, corner) : 0
      bytes[at] = lines[row * (width + 1) + 1 + column] as number + foretold
    }
  }
  return bytes
}

function paeth (left: number, above: number, corner: number): number {
  const [toLeft, toAbove, toCorner] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)]
  return toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner
}
