// Draws the charts of the page in the reader's light or dark, and marks the part that is read.
(() => {
  "use strict";

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const series = () => [1, 2, 3, 4, 5, 6, 7, 8].map((n) => color(`--series-${n}`));
  const font = getComputedStyle(document.body).fontFamily;

  const config = (width) => ({
    background: "transparent",
    font,
    aria: false, // the element around the chart says what it is; hundreds of marks would be noise
    view: { stroke: null },
    range: { category: series(), ordinal: series() },
    bar: { color: color("--series-1"), cornerRadiusEnd: 2 },
    line: { color: color("--series-1"), strokeWidth: 2, strokeJoin: "round" },
    area: { color: color("--series-1"), opacity: 0.85 },
    point: { color: color("--series-1"), filled: true, size: 50 },
    tick: { color: color("--series-1") },
    rule: { color: color("--muted") },
    text: { color: color("--ink") },
    axis: {
      labelColor: color("--soft"),
      labelFontSize: 11.5,
      domainColor: color("--line"),
      tickColor: color("--line"),
      gridColor: color("--grid"),
      labelPadding: 6,
      labelOverlap: true,
      labelSeparation: 10,
      labelLimit: Math.min(170, Math.round(width * 0.36)),
    },
    axisX: { grid: false },
    axisQuantitative: { ticks: false, domain: false, grid: true },
    axisBand: { ticks: false, grid: false, labelAngle: 0 },
    legend: {
      orient: "top",
      direction: "horizontal",
      columns: Math.max(1, Math.floor(width / 120)),
      offset: 14,
      labelColor: color("--soft"),
      titleColor: color("--soft"),
      labelFontSize: 12,
      titleFontSize: 12,
      titleFontWeight: 500,
      symbolType: "circle",
      symbolSize: 70,
      labelLimit: 150,
    },
  });

  // "role:good" in a scale's range stands for the colour of that role
  const withColors = (node) => {
    if (Array.isArray(node)) return node.map(withColors);
    if (node && typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, withColors(value)]));
    }
    return typeof node === "string" && node.startsWith("role:") ? color(`--${node.slice(5)}`) : node;
  };

  const drawn = new Map();

  const draw = async (element) => {
    const source = document.getElementById(element.dataset.spec);
    const { data, ...spec } = JSON.parse(source.textContent);
    drawn.get(element)?.finalize();
    const result = await window.vegaEmbed(
      element,
      { ...withColors(spec), data },
      {
        mode: "vega-lite",
        renderer: "svg",
        actions: false,
        config: config(element.clientWidth),
        tooltip: { theme: "custom", disableDefaultStyle: false },
      },
    );
    drawn.set(element, result);
  };

  const charts = [...document.querySelectorAll(".chart > [data-spec]")];
  const drawAll = () =>
    Promise.all(charts.map(draw)).then(() => {
      document.documentElement.dataset.drawn = String(charts.length);
    });

  let width = window.innerWidth;
  let waiting;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();

  const links = new Map(
    [...document.querySelectorAll("nav.parts a")].map((link) => [link.hash.slice(1), link]),
  );
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) {
          link.classList.remove("here");
          link.removeAttribute("aria-current");
        }
        const link = links.get(entry.target.id);
        link?.classList.add("here");
        link?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-15% 0px -75% 0px" },
  );
  for (const part of document.querySelectorAll("section.part")) seen.observe(part);
})();
