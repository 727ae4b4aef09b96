// Loaded before a program: its time goes ahead by as many seconds as its parent says.
const { now } = Date
let ahead = 0

process.on('message', (seconds) => {
  ahead += seconds * 1000
  Date.now = () => now() + ahead
  process.send?.(ahead)
})
// Listening keeps the program alive no longer than it would live.
process.channel?.unref()
