(() => {
  'use strict';
  const data = JSON.parse(document.getElementById('data').textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = (s) => {
    const whole = Math.round(s);
    const rest = Math.abs(whole) % 3600;
    const hours = Math.floor(Math.abs(whole) / 3600);
    const pad = (n) => String(n).padStart(2, '0');
    return `${whole < 0 ? '-' : ''}${hours ? `${hours}:` : ''}${pad(Math.floor(rest / 60))}:${pad(rest % 60)}`;
  };
  const amount = (n) => (n == null ? '–' : Number(n.toPrecision(4)).toLocaleString('en'));
  const short = (n) => (n < 10000 ? amount(n) : n.toLocaleString('en', { notation: 'compact', maximumSignificantDigits: 3 }));
  // A percentile that falls among what failed is infinite. Its line goes up to this, far above the chart, where a canvas still takes it.
  const above = 1e9;
  const drawable = (values) => values.map((n) => (n === Infinity ? above : n));
  const named = (n) => (n === above ? 'failed' : amount(n));
  const whole = [data.times[0], data.times[data.times.length - 1] + data.step];
  let plots = [];
  let zooming = false;

  const zoom = (min, max) => {
    zooming = true;
    plots.forEach((plot) => plot.setScale('x', { min, max }));
    zooming = false;
  };

  // Behind the lines: the judged part, and where each step of the plan begins.
  const drawPlan = (plot) => {
    const { ctx, bbox } = plot;
    const x = (s) => plot.valToPos(s, 'x', true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    if (data.judged) {
      ctx.fillStyle = css('--judged');
      ctx.fillRect(x(data.judged[0]), bbox.top, x(data.judged[1]) - x(data.judged[0]), bbox.height);
    }
    ctx.strokeStyle = css('--plan');
    ctx.fillStyle = css('--soft');
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = 'top';
    ctx.textAlign = 'left';
    data.steps.forEach(({ at, text }, i) => {
      const left = Math.round(x(at));
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      const next = data.steps[i + 1];
      const room = (next ? x(next.at) : bbox.left + bbox.width) - left;
      if (ctx.measureText(text).width + 8 * devicePixelRatio < room) {
        ctx.fillText(text, left + 4 * devicePixelRatio, bbox.top + 3 * devicePixelRatio);
      }
    });
    ctx.restore();
  };

  // Along the top edge: where a percentile is infinite.
  const drawAbove = (plot) => {
    const { ctx, bbox } = plot;
    const thick = 3 * devicePixelRatio;
    let rows = 0;
    plot.series.forEach((series, i) => {
      if (i === 0 || !series.show || !plot.data[i].includes(above)) {
        return;
      }
      ctx.fillStyle = css(series.colour);
      plot.data[i].forEach((n, at) => {
        const left = Math.max(bbox.left, plot.valToPos(data.times[at], 'x', true));
        const right = Math.min(bbox.left + bbox.width, plot.valToPos(data.times[at] + data.step, 'x', true));
        if (n === above && right > left) {
          ctx.fillRect(left, bbox.top + rows * thick, right - left, thick);
        }
      });
      rows += 1;
    });
  };

  const lineOf = (line, i) => {
    const style = {
      plan: { stroke: css('--plan'), dash: [6, 4] },
      limit: { stroke: css('--limit'), dash: [10, 4], width: 2 },
      points: { stroke: css('--c3'), paths: () => null, points: { show: true, size: 7, fill: css('--card') } },
      readings: { stroke: css('--c0'), spanGaps: true },
    }[line.style] || { stroke: css(`--c${i % 8}`) };
    // Points are shown where there are few.
    return { label: line.name, colour: `--c${i % 8}`, width: 1.6, points: { size: 4 }, value: (plot, n) => named(n), ...style };
  };

  // The highest value that is shown, with some room above it.
  const range = (plot) => {
    const [from, to] = plot.series[0].idxs || [0, data.times.length - 1];
    let top = 0;
    plot.data.forEach((values, i) => {
      if (i > 0 && plot.series[i].show) {
        values.slice(from, to + 1).forEach((n) => { top = n !== above && n > top ? n : top; });
      }
    });
    return [0, top > 0 ? top * 1.12 : 1];
  };

  const draw = () => {
    plots.forEach((plot) => plot.destroy());
    plots = data.charts.map((chart, i) => {
      const place = document.querySelector(`#chart-${i} .plot`);
      const axis = { stroke: css('--soft'), grid: { stroke: css('--grid'), width: 1 }, ticks: { stroke: css('--grid') }, font: '12px system-ui, sans-serif' };
      let plain = 0;
      const series = chart.lines.map((line) => lineOf(line, line.style ? 0 : plain++));
      return new uPlot({
        width: place.clientWidth, height: 230, ms: 1,
        cursor: { sync: { key: 'run' }, drag: { x: true, y: false }, focus: { prox: 24 } },
        focus: { alpha: 0.35 },
        scales: { x: { time: false, min: whole[0], max: whole[1] }, y: { range } },
        axes: [
          { ...axis, space: 60, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200], values: (plot, all) => all.map(clock) },
          { ...axis, size: 58, values: (plot, all) => all.map(short) },
        ],
        series: [{ label: 'time', value: (plot, s) => (s == null ? '–' : clock(s)) }, ...series],
        hooks: {
          drawAxes: [drawPlan],
          draw: [drawAbove],
          setScale: [(plot, key) => {
            if (key === 'x' && !zooming) {
              zoom(plot.scales.x.min, plot.scales.x.max);
            }
          }],
        },
      }, [data.times, ...chart.lines.map((line) => drawable(line.values))], place);
    });
    plots.forEach((plot) => plot.over.addEventListener('dblclick', () => zoom(whole[0], whole[1])));
  };

  const fit = () => plots.forEach((plot) => plot.setSize({ width: plot.root.parentNode.clientWidth, height: 230 }));
  // A chart has the same values as its table, which is open for readers without scripts.
  document.querySelectorAll('.chart details').forEach((table) => { table.open = false; });
  document.body.classList.add('drawn');
  zooming = true;
  draw();
  zooming = false;
  addEventListener('resize', fit);
  ['(prefers-color-scheme: dark)', 'print'].forEach((media) => matchMedia(media).addEventListener('change', draw));
})();
