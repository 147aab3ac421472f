// Looks at a report in a browser, as a reader would: an expression whose value is an object.
(() => {
  const seen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && element.getClientRects().length > 0;
  const text = (element) => element.textContent.replace(/\s+/g, ' ').trim();
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Colours as [red, green, blue, alpha].
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((part, i) => part * a + below[i] * (1 - a)).concat(1);
  const white = [255, 255, 255, 1];
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(parse(getComputedStyle(at).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), white);
  };
  const opacity = (element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const luminance = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };

  // WCAG AA: 4.5, and 3 for large text: 24 px, or 18.66 px in bold.
  const faint = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (node.data.trim() === '' || !seen(element) || ['SCRIPT', 'STYLE'].includes(element.tagName)) {
      continue;
    }
    texts += 1;
    const style = getComputedStyle(element);
    const below = background(element);
    const colour = parse(style.color);
    const found = ratio(over([...colour.slice(0, 3), colour[3] * opacity(element)], below), below);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (found < needed) {
      faint.push(`${found.toFixed(2)} of ${needed}: ${text(element).slice(0, 60)}`);
    }
  }
  // What a canvas shows is no text of the page: the colours of its words need 4.5, those of its lines 3.
  const root = getComputedStyle(document.documentElement);
  const named = (name) => parse(root.getPropertyValue(name).trim());
  const card = named('--card');
  [card, over(named('--judged'), card)].forEach((below) => {
    const lines = ['--limit', '--plan', ...Array.from({ length: 8 }, (_, i) => `--c${i}`)];
    [['--soft', 4.5], ...lines.map((name) => [name, 3])].forEach(([name, needed]) => {
      const found = ratio(over(named(name), below), below);
      if (found < needed) {
        faint.push(`${found.toFixed(2)} of ${needed}: ${name} on ${below}`);
      }
    });
  });

  const width = document.documentElement.clientWidth;
  const wide = all('body *').filter((element) => seen(element) && !element.parentElement.closest('.scroll')
    && element.getBoundingClientRect().right > width + 0.5).map((element) => `${element.tagName}.${element.className} ${text(element).slice(0, 40)}`);

  const right = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return Math.max(0, ...[...range.getClientRects()].map((part) => part.right));
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const node = words.currentNode;
    if (seen(node.parentElement) && !node.parentElement.closest('.scroll') && right(node) > width + 0.5) {
      wide.push(`${text(node.parentElement).slice(0, 40)} at ${right(node)}`);
    }
  }

  const colours = (plot) => {
    const { data } = plot.getContext('2d').getImageData(0, 0, plot.width, plot.height);
    return new Set(new Uint32Array(data.buffer)).size;
  };
  const row = (element) => all('td', element).map(text);
  return {
    title: document.title,
    verdict: text(document.querySelector('.verdict')),
    claims: all('tr.claim').filter(seen).map(row),
    facts: Object.fromEntries(all('.facts > div').map((fact) => [text(fact.querySelector('dt')), text(fact.querySelector('dd'))])),
    charts: all('figure.chart').map((figure) => ({
      title: figure.querySelector('figcaption').firstChild.data.trim(),
      drawn: all('canvas', figure).some((plot) => plot.clientWidth > 100 && colours(plot) > 3),
      lines: all('.u-series', figure).slice(1).map((line) => text(line.querySelector('.u-label'))),
      left: figure.querySelector('.u-over')?.offsetLeft ?? 0,
      columns: all('th', figure.querySelector('.numbers')).map(text),
      rows: all('tbody tr', figure.querySelector('.numbers')).length,
      table: seen(figure.querySelector('.numbers')),
    })),
    distributions: all('figure.distribution').filter(seen).map((figure) => text(figure.querySelector('figcaption'))),
    findings: all('.findings li').map(text),
    thresholds: all('tr.threshold').map(row),
    headings: all('h2').map(text),
    again: text(document.querySelector('pre')),
    below: Math.max(0, ...all('.summary').map((part) => Math.round(part.getBoundingClientRect().bottom))),
    overflow: document.documentElement.scrollWidth - width,
    background: background(document.body).slice(0, 3),
    texts,
    faint,
    wide,
  };
})()
