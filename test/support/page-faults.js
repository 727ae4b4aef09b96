// What keeps people from using a page. Runs in the page, and answers the faults in words.
(() => {
  const { document, getComputedStyle, innerWidth } = globalThis
  const all = Array.from(document.querySelectorAll('body *'))
  const isShown = (element) => element.checkVisibility() && !element.closest('.unseen')
  const nameOf = (element) => element.ariaLabel ?? document.getElementById(element.getAttribute('aria-labelledby'))?.textContent ?? element.labels?.[0]?.textContent ?? element.textContent
  const describe = (element) => `${element.localName}#${element.id}.${element.className} "${element.textContent.trim().slice(0, 30)}"`
  const faults = []
  const check = (isFine, element, what) => { if (!isFine) faults.push(`${describe(element)} ${what}`) }

  for (const element of all.filter(isShown)) {
    if (element.matches('input, button, a, summary, section, progress, [role=log], [role=group], [tabindex="0"]')) check(nameOf(element).trim() !== '', element, 'has no name')
    if (element.matches('input')) check(element.labels.length === 1, element, 'has no label')
    if (element.id !== '') check(document.querySelectorAll(`#${element.id}`).length === 1, element, 'shares its id')
    if (element.matches('li')) check(['ul', 'ol'].includes(element.parentElement.localName), element, 'is in no list')
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== 'visible') check(element.tabIndex === 0 || element.localName === 'progress', element, 'scrolls for mice only')
    const hasText = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.data.trim() !== '')
    if (hasText && !element.disabled && !element.closest(':disabled')) {
      const ratio = contrast(rgb(getComputedStyle(element).color), backgroundOf(element))
      check(ratio >= 4.5, element, `is hard to read: ${ratio.toFixed(2)}`)
    }
  }
  const levels = all.filter((element) => isShown(element) && /^h\d$/.test(element.localName)).map(({ localName }) => Number(localName[1]))
  if (levels[0] !== 1 || levels.filter((level) => level === 1).length > 1 || levels.some((level, index) => level > (levels[index - 1] ?? 0) + 1)) faults.push(`the headings are ${levels}`)
  for (const landmark of ['header', 'main', 'nav']) if (document.querySelectorAll(landmark).length !== 1) faults.push(`there is not one ${landmark}`)
  if (document.documentElement.lang !== 'en' || document.title === '') faults.push('the document has no language or no title')
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} wide and the window ${innerWidth}`)
  return faults

  function rgb (text) {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number)
    return { red, green, blue, alpha }
  }
  function backgroundOf (element) {
    for (let each = element; each !== null; each = each.parentElement) {
      const color = rgb(getComputedStyle(each).backgroundColor)
      if (color.alpha > 0) return color
    }
    return rgb('rgb(255, 255, 255)')
  }
  /** WCAG 2 section 1.4.3. */
  function contrast (one, other) {
    const luminance = ({ red, green, blue }) => [red, green, blue].map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
      .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0)
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a)
    return (light + 0.05) / (dark + 0.05)
  }
})()
